//! `abaw pipelines`: the recipes that the program has inside.

use std::process::ExitCode;

use abaw::pipelines::{EVERY_KEY, EVERYDAY, RECIPES, Recipe};
use clap::{Args, Subcommand};

use super::{CommandResult, EXIT_DONE};

/// List the recipes for `--pipeline`, print one, or print a file with every setting.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// List the recipes, which is also done without an action.
    List,
    /// Print a recipe as a pipeline file.
    Show {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Print a pipeline file with every key, its unit and its meaning: `abaw pipelines new > my.toml`.
    New,
}

/// Prints.
pub fn run(arguments: Arguments) -> CommandResult {
    match arguments.action.unwrap_or(Action::List) {
        Action::List => {
            for recipe in RECIPES {
                let note = if recipe.name == EVERYDAY {
                    " (used without --pipeline)"
                } else {
                    ""
                };
                println!("{:<12}  {}{note}", recipe.name, recipe.purpose());
            }
        }
        Action::Show { name } => {
            let names = || RECIPES.map(|recipe| recipe.name).join(", ");
            let recipe =
                Recipe::named(&name).ok_or_else(|| format!("no recipe `{name}`; there are {}", names()))?;
            println!("{}", recipe.text.trim_end());
        }
        Action::New => println!("{}", EVERY_KEY.trim_end()),
    }
    Ok(ExitCode::from(EXIT_DONE))
}
