//! Weights as a user meets them: real checkpoints of PyTorch in, `.safetensors` out and in again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use abaw::face::template::TemplateSet;
use abaw::labels::Expression;
use abaw::model::weights::{Card, Format, NumberFormat, Summary, Weights, WeightsError, import, sha256};
use abaw::model::{AffectNet, Architecture, ModelError, NamedTensors, Normalisation};
use tch::{Kind, Tensor};

use crate::support::{checkpoint, shared_golden, unpacked};

fn same(a: &Tensor, b: &Tensor) -> bool {
    a.kind() == b.kind() && a.equal(b)
}

/// A whole multitask network in which every tensor has a value of its own.
fn multitask(folder: &Path) -> Weights {
    Weights::load(&unpacked(&checkpoint("multitask_constant.pth.gz"), folder)).unwrap()
}

fn copied(tensors: &NamedTensors) -> NamedTensors {
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.copy()))
        .collect()
}

/// As PyTorch's `save_file` writes it: no metadata.
fn write_without_metadata(path: &Path, tensors: &NamedTensors) {
    let named: Vec<_> = tensors.iter().collect();
    Tensor::write_safetensors(&named, path).unwrap();
}

#[test]
fn a_training_checkpoint_of_the_whole_network_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let path = unpacked(&checkpoint("multitask_constant.pth.gz"), folder.path());
    let imported = import(&path).unwrap();

    assert_eq!(*imported.weights.architecture(), Architecture::MULTITASK);
    assert_eq!(imported.weights.tensors().len(), 863);
    assert_eq!(imported.weights.parameters(), 4_376_863);
    let report = imported.report;
    assert_eq!(report.origin.format, Format::TorchZip);
    assert_eq!(report.origin.key.as_deref(), Some("model_state_dict"));
    assert_eq!(report.origin.prefix, None);
    let unused: Vec<_> = report.unused.into_iter().collect();
    let expected = [
        ("CoordAtt.Linear", 10),
        ("conv_dw.bn and conv_dw.prelu", 170),
        ("num_batches_tracked", 148),
    ];
    assert_eq!(unused, expected);
    assert!(report.unknown.is_empty());
    assert_eq!(
        imported.weights.card.source,
        format!("multitask_constant.pth, sha256 {}", sha256(&path).unwrap())
    );

    // Tensor i of all 1191 by name is (i % 255 + 1) / 8; the first by name is `Linear.bn.bias`.
    let first = &imported.weights.tensors()["Linear.bn.bias"];
    assert!(same(
        first,
        &Tensor::full([512], 0.125, (Kind::Float, tch::Device::Cpu))
    ));
    let (name, last) = imported.weights.tensors().last_key_value().unwrap();
    assert_eq!(name, "features.8.prelu.weight");
    assert!(same(
        last,
        &Tensor::full(
            [512],
            (1190 % 255 + 1) as f64 / 8.0,
            (Kind::Float, tch::Device::Cpu)
        )
    ));
}

#[test]
fn an_official_half_precision_state_dict_with_prefixes_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let path = unpacked(&checkpoint("affectnet8_half_constant.pth.gz"), folder.path());
    let imported = import(&path).unwrap();
    assert_eq!(
        *imported.weights.architecture(),
        Architecture::Official(AffectNet::Eight)
    );
    assert_eq!(imported.report.origin.prefix.as_deref(), Some("module."));
    assert_eq!(
        imported.report.origin.converted.iter().collect::<Vec<_>>(),
        [&"float16"]
    );
    let fc = &imported.weights.tensors()["fc.weight"];
    assert!(same(
        fc,
        &Tensor::full([8, 512], 0.5, (Kind::Float, tch::Device::Cpu))
    ));
}

#[test]
fn weights_come_back_as_they_were_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut weights = multitask(folder.path());
    weights.card = Card {
        normalisation: Normalisation {
            mean: [0.5, 0.25, 0.125],
            std: [1.0, 0.1, 0.3],
        },
        alignment: TemplateSet::Arcface,
        source: "made by a test, \"quoted\"\nin two lines".to_owned(),
        licence: Some("MIT".to_owned()),
        trained: false,
        calibration: Some("au_thresholds = [0.44, 0.36]\n[smoothing]\nvalence = 25\n".to_owned()),
        weak_expressions: vec![Expression::Disgust, Expression::Fear],
    };
    let path = folder.path().join("weights.safetensors");
    weights.save(&path, NumberFormat::F32).unwrap();
    let again = import(&path).unwrap();

    assert_eq!(again.weights.card, weights.card);
    assert_eq!(again.weights.architecture(), weights.architecture());
    assert_eq!(again.weights.tensors().len(), weights.tensors().len());
    for (name, tensor) in again.weights.tensors() {
        assert!(same(tensor, &weights.tensors()[name]), "{name}");
    }
    assert!(again.report.unused.is_empty() && again.report.unknown.is_empty());

    let second = folder.path().join("second.safetensors");
    again.weights.save(&second, NumberFormat::F32).unwrap();
    assert_eq!(sha256(&path).unwrap(), sha256(&second).unwrap());
    let files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(files.len(), 3, "no unfinished file is left: {files:?}");
}

#[test]
fn half_formats_round_matrices_and_keep_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let weights = multitask(folder.path());
    let random: NamedTensors = weights
        .tensors()
        .iter()
        .map(|(name, tensor)| (name.clone(), Tensor::randn_like(tensor).abs()))
        .collect();
    let random = Weights::new(random, weights.card).unwrap();
    for (format, precision) in [
        (NumberFormat::F16, 2_f64.powi(-11)),
        (NumberFormat::Bf16, 2_f64.powi(-8)),
    ] {
        let path = folder.path().join("half.safetensors");
        random.save(&path, format).unwrap();
        assert!(path.metadata().unwrap().len() < 10_000_000);
        for (name, read) in Weights::load(&path).unwrap().tensors() {
            let exact = &random.tensors()[name];
            if exact.dim() < 2 {
                assert!(same(read, exact), "{name}");
            } else {
                assert_eq!(read.kind(), Kind::Float);
                let error = ((read - exact) / (exact + 1e-4)).abs().max().double_value(&[]);
                assert!(error <= precision, "{name}: {error}");
                assert!(!read.equal(exact), "{name} was not rounded");
            }
        }
    }
}

#[test]
fn a_number_too_large_for_half_precision_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let weights = multitask(folder.path());
    let mut tensors = copied(weights.tensors());
    let _ = tensors.get_mut("features.8.conv.weight").unwrap().fill_(70_000.0);
    let weights = Weights::new(tensors, weights.card).unwrap();
    let path = folder.path().join("half.safetensors");
    let error = weights.save(&path, NumberFormat::F16).unwrap_err();
    assert!(
        matches!(&error, WeightsError::TooLarge { name } if name == "features.8.conv.weight"),
        "{error}"
    );
    assert!(!path.exists());
    weights.save(&path, NumberFormat::Bf16).unwrap();
}

#[test]
fn a_file_without_metadata_gets_the_authors_card() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = copied(multitask(folder.path()).tensors());
    tensors.insert(
        "custom_classifier.gender.weight".to_owned(),
        Tensor::zeros([2, 512], (Kind::Float, tch::Device::Cpu)),
    );
    tensors.insert(
        "features.0.bn.num_batches_tracked".to_owned(),
        Tensor::from(7_i64),
    );
    let path = folder.path().join("of_pytorch.safetensors");
    write_without_metadata(&path, &tensors);

    let imported = import(&path).unwrap();
    assert_eq!(imported.report.origin.format, Format::Safetensors);
    assert_eq!(imported.report.unknown, ["custom_classifier.gender.weight"]);
    assert_eq!(
        imported.report.unused,
        BTreeMap::from([("num_batches_tracked", 1)])
    );
    let card = imported.weights.card;
    assert_eq!(card, Card::as_published(card.source.clone()));
    assert!(card.trained && card.calibration.is_none());
}

#[test]
fn everything_missing_or_misshapen_is_listed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = copied(multitask(folder.path()).tensors());
    tensors.remove("features.3.model.2.project.bn.bias");
    tensors.remove("cat_head1.CoordAtt.conv3.bias");
    tensors.insert(
        "features.8.conv.weight".to_owned(),
        Tensor::zeros([512, 255, 1, 1], (Kind::Float, tch::Device::Cpu)),
    );
    let path = folder.path().join("broken.safetensors");
    write_without_metadata(&path, &tensors);

    let error = Weights::load(&path).unwrap_err();
    let WeightsError::Network {
        source: ModelError::WeightsDoNotFit {
            missing, misshapen, ..
        },
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(
        *missing,
        [
            "cat_head1.CoordAtt.conv3.bias",
            "features.3.model.2.project.bn.bias"
        ]
    );
    assert_eq!(misshapen.len(), 1);
    assert_eq!(misshapen[0].found, [512, 255, 1, 1]);
    assert!(error.to_string().contains("broken.safetensors") && !error.to_string().contains('\n'));
}

#[test]
fn numbers_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = copied(multitask(folder.path()).tensors());
    let _ = tensors.get_mut("Linear.bn.bias").unwrap().fill_(f64::NAN);
    let path = folder.path().join("diverged.safetensors");
    write_without_metadata(&path, &tensors);
    let error = Weights::load(&path).unwrap_err();
    assert!(
        matches!(&error, WeightsError::NotNumbers { names, .. } if *names == ["Linear.bn.bias"]),
        "{error}"
    );
}

#[test]
fn a_card_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    multitask(folder.path()).save(&path, NumberFormat::F32).unwrap();
    let bytes = fs::read(&path).unwrap();
    for (from, to) in [
        (r#""format_version":"1""#, r#""format_version":"2""#),
        (r#""alignment":"ddamfn""#, r#""alignment":"ddanfm""#),
        (r#""trained":"true""#, r#""trained":"trve""#),
        (r#"\"Neutral\",\"Anger\""#, r#"\"Anger\",\"Neutral\""#),
        (r#"\"mean\":[0.485,0.456"#, r#"\"meam\":[0.485,0.456"#),
        (r#"\"std\":[0.229"#, r#"\"std\":[0.000"#),
    ] {
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .expect(from);
        let mut changed = bytes.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        fs::write(&path, changed).unwrap();
        let error = Weights::load(&path).unwrap_err();
        assert!(matches!(error, WeightsError::Card { .. }), "{to}: {error}");
    }
}

#[test]
fn show_says_what_a_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut weights = multitask(folder.path());
    weights.card.calibration = Some("au_thresholds = [0.44]".to_owned());
    let path = folder.path().join("weights.safetensors");
    weights.save(&path, NumberFormat::F16).unwrap();

    let summary = Summary::of(&path).unwrap();
    let text = summary.to_string();
    let classes = "Neutral, Anger, Disgust, Fear, Happiness, Sadness, Surprise, Other";
    let digest = sha256(&path).unwrap();
    for part in [
        "4376863",
        classes,
        "valence_arousal, expression, action_units",
        "au_thresholds = [0.44]",
        &digest,
        "float16",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["parameters"], 4_376_863);
    assert_eq!(json["class_order"][7], "Other");
    assert_eq!(json["calibration"], "au_thresholds = [0.44]");
    assert_eq!(json["trained"], true);
    assert_eq!(json["sha256"], digest.as_str());
}

#[test]
fn what_would_have_to_be_run_is_refused_with_the_line_that_converts_it() {
    let trace = Path::new("executed_by_a_pickle");
    for (name, object, line) in [
        ("refused_os_system.pth", "posix.system", "torch.load("),
        ("refused_os_system_legacy.pth", "posix.system", "torch.load("),
        (
            "refused_whole_module.pth",
            "networks.MixedFeatureNet.MixedFeatureNet",
            "torch.load(",
        ),
        ("refused_torchscript.pt", "TorchScript", "torch.jit.load("),
    ] {
        let message = import(&checkpoint(name)).unwrap_err().to_string();
        assert!(
            message.contains(name) && message.contains(object) && message.contains(line),
            "{message}"
        );
        assert!(
            message.contains("x.state_dict()") && !message.contains('\n'),
            "{message}"
        );
        assert!(!trace.exists(), "{name} was run");
    }
}

/// The reference weights beside the repository, as PyTorch wrote them twice.
#[test]
fn golden_checkpoints_equal_their_safetensors_bit_for_bit() {
    let Some(golden) = shared_golden() else { return };
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = import(&unpacked(&golden.join("ddamfn_multitask.pth.gz"), folder.path())).unwrap();
    let reference: BTreeMap<String, Tensor> =
        Tensor::read_safetensors(golden.join("ddamfn_multitask.safetensors"))
            .unwrap()
            .into_iter()
            .collect();
    let left_over = checkpoint.report.unused.values().sum::<usize>();
    assert_eq!(checkpoint.weights.tensors().len() + left_over, reference.len());
    for (name, tensor) in checkpoint.weights.tensors() {
        assert!(same(tensor, &reference[name]), "{name}");
    }
    assert!(checkpoint.report.unknown.is_empty());

    let official = import(&golden.join("ddamfn_affectnet8_like.pth")).unwrap();
    assert_eq!(
        *official.weights.architecture(),
        Architecture::Official(AffectNet::Eight)
    );
    assert_eq!(official.report.unused["bn"], 4);
    assert!(official.report.unknown.is_empty());
}
