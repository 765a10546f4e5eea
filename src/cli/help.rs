//! `abaw help`: the help of a command, or of a topic that several commands share.

use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::{CommandResult, EXIT_DONE};

/// Topics that are no command, with their texts.
const TOPICS: [(&str, &str); 5] = [
    ("inputs", include_str!("help/inputs.txt")),
    ("table", include_str!("help/table.txt")),
    ("settings", include_str!("help/settings.txt")),
    ("labels", include_str!("help/labels.txt")),
    ("exit-codes", include_str!("help/exit-codes.txt")),
];

/// Print the help of a command, or of a topic: inputs, table, settings, labels, exit-codes.
#[derive(Args)]
pub struct Arguments {
    /// A command or a topic.
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

/// Prints.
pub fn run(arguments: Arguments) -> CommandResult {
    let mut command = super::Arguments::command();
    command.build();
    let mut found = &mut command;
    for (nth, word) in arguments.topic.iter().enumerate() {
        let topic = TOPICS.iter().find(|(name, _)| name == word).filter(|_| nth == 0);
        if let Some((_, text)) = topic {
            println!("{}", text.trim_end());
            return Ok(ExitCode::from(EXIT_DONE));
        }
        found = found.find_subcommand_mut(word).ok_or_else(|| {
            let topics = TOPICS.map(|(name, _)| name).join(", ");
            format!("no help on `{word}`: it is no command and none of the topics {topics}")
        })?;
    }
    println!("{}", found.render_long_help().to_string().trim_end());
    Ok(ExitCode::from(EXIT_DONE))
}
