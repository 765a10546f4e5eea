use super::super::value::MAX_VALUES;
use super::*;
use proptest::prelude::*;

fn error(pickle: &[u8]) -> PickleError {
    read(pickle).expect_err("this pickle should be refused")
}

fn refused(object: &str) -> PickleError {
    PickleError::Refused(object.to_owned())
}

/// `_rebuild_tensor_v2` of a storage of floats, as `torch.save` writes it.
fn tensor(elements: i32, offset: i32, size: &[i32], stride: &[i32]) -> Vec<u8> {
    fn integer(number: i32) -> Vec<u8> {
        [b"J", &number.to_le_bytes()[..]].concat()
    }
    fn integers(numbers: &[i32]) -> Vec<u8> {
        [
            b"(",
            &numbers.iter().copied().flat_map(integer).collect::<Vec<_>>()[..],
            b"t",
        ]
        .concat()
    }
    let storage = [
        b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu",
        &integer(elements)[..],
        b"tQ",
    ]
    .concat();
    let view = [integer(offset), integers(size), integers(stride)].concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &storage[..],
        &view,
        b"\x89ccollections\nOrderedDict\n)RtR.",
    ]
    .concat()
}

#[test]
fn names_that_are_not_listed_are_refused_before_anything_is_called() {
    assert_eq!(error(b"cposix\nsystem\n(U\x05touchtR."), refused("posix.system"));
    assert_eq!(
        error(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."),
        refused("builtins.eval")
    );
    assert_eq!(
        error(b"cbuiltins\ngetattr\n(cbuiltins\n__import__\ntR."),
        refused("builtins.getattr")
    );
    assert_eq!(
        error(b"ctorch.nn.modules.conv\nConv2d\n)\x81}b."),
        refused("torch.nn.modules.conv.Conv2d")
    );
    assert_eq!(error(b"ctorch\nload\n."), refused("torch.load"));
    assert_eq!(
        error(b"ccollections\nOrderedDict.__init__\n."),
        refused("collections.OrderedDict.__init__")
    );
    assert_eq!(error(b"c\x1b[2J\nx\n."), refused("\\u{1b}[2J.x"));
}

#[test]
fn instructions_that_call_or_import_otherwise_are_unknown() {
    assert_eq!(error(b"(iposix\nsystem\n."), PickleError::Instruction(b'i'));
    assert_eq!(error(b"(cposix\nsystem\no."), refused("posix.system"));
    assert_eq!(error(b"\x82\x01."), PickleError::Instruction(0x82));
    assert_eq!(error(b"Pfile:///etc/passwd\n."), PickleError::Instruction(b'P'));
    assert_eq!(error(b"\x97."), PickleError::Instruction(0x97));
}

#[test]
fn what_cannot_be_called_built_or_referred_to_is_an_error() {
    for pickle in [
        &b"ccollections\nOrderedDict\n)R)R."[..],      // calls a dictionary
        b"K\x01)R.",                                   // calls a number
        b"ctorch\nFloatStorage\n)R.",                  // makes a storage
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",     // a tensor of nothing
        b"ctorch._utils\n_rebuild_parameter\n]\x85R.", // a parameter of a list
        b"K\x01}U\x0c__setstate__cargparse\nNamespace\nsb.", // sets the state of a number
        b"U\x03abcQ.",                                 // a persistent id that is no storage
        b"(U\x06modulectorch\nFloatStorage\nU\x010U\x03cpuK\x01tQ.",
        b"(U\x07storageU\x05FloatU\x010U\x03cpuK\x01tQ.",
        b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ\xff\xff\xff\xfftQ.",
        b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x01)tQ.", // a part of another storage
        b"K\x01K\x02s.",                                               // items of nothing
        b"}(K\x01u.",                                                  // a key without a value
        b"(0.",                                                        // takes from below a mark
        b"t.",
        b"h\x00.",
    ] {
        assert!(
            matches!(error(pickle), PickleError::Malformed(_)),
            "{}",
            pickle.escape_ascii()
        );
    }
}

#[test]
fn lengths_are_checked_before_memory_is_taken() {
    for pickle in [
        &b"X\xff\xff\xff\xffabc"[..],
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc",
        b"\x8a\xff\x01",
        b"cposix",
        b"",
    ] {
        assert_eq!(error(pickle), PickleError::Truncated);
    }
}

#[test]
fn nesting_sharing_and_cycles_cost_nothing() {
    let deep = [b"]", &vec![op::TUPLE1; 1_000_000][..], b"."].concat();
    assert!(matches!(read(&deep).unwrap().root, Value::Tuple(_)));

    // Each round doubles what Python would count as the size.
    let doubled = [&b"]q\x00"[..], &b"h\x00h\x00\x86q\x00".repeat(10_000), b"."].concat();
    assert!(read(&doubled).unwrap().values.made < 100_000);

    let list_in_itself = b"]q\x00h\x00a.";
    assert!(matches!(read(list_in_itself).unwrap().root, Value::List(_)));
}

#[test]
fn the_number_of_values_is_bounded() {
    assert_eq!(error(&[op::NONE; MAX_VALUES + 1]), PickleError::TooLarge);
    assert_eq!(error(&[op::MARK; MAX_VALUES + 1]), PickleError::TooLarge);
    let puts = (0..MAX_VALUES as u32).flat_map(|place| [&b"r"[..], &place.to_le_bytes()].concat());
    assert_eq!(
        error(&[b")"[..].to_vec(), puts.collect()].concat()),
        PickleError::TooLarge
    );

    // One list of 1,000 pairs, made into a dictionary again and again.
    let pairs = [&b"]("[..], &b"NN\x86".repeat(1_000), b"e\x85q\x00"].concat();
    let copies = b"ccollections\nOrderedDict\nh\x00R".repeat(2_000);
    assert_eq!(
        error(&[&pairs[..], &copies, b"."].concat()),
        PickleError::TooLarge
    );
}

#[test]
fn tensors_lie_within_their_storage() {
    for (elements, offset, size, stride) in [
        (12, 0, &[3, 4][..], &[4, 1][..]),
        (12, 0, &[4, 3], &[1, 4]),
        (12, 11, &[], &[]),
        (1, 0, &[1_000_000], &[0]),
        (12, 4, &[0, 7], &[1_000, 1]),
    ] {
        assert!(matches!(
            read(&tensor(elements, offset, size, stride)).unwrap().root,
            Value::Tensor(_)
        ));
    }
    for (elements, offset, size, stride) in [
        (11, 0, &[3, 4][..], &[4, 1][..]),
        (12, 12, &[], &[]),
        (12, -1, &[1], &[1]),
        (12, 0, &[-1], &[1]),
        (12, 0, &[2], &[-1]),
        (12, 0, &[2, 2], &[1]),
        (12, 0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0]),
        (12, 0, &[i32::MAX], &[i32::MAX]),
        (12, 0, &[1; 9], &[1; 9]),
    ] {
        let refused = error(&tensor(elements, offset, size, stride));
        assert!(
            matches!(refused, PickleError::Malformed(_)),
            "{size:?} {stride:?}"
        );
    }
}

#[test]
fn python_2_dictionaries_are_read() {
    let pickle = read(b"ccollections\nOrderedDict\n](](U\x01aK\x01e](U\x01bK\x02ee\x85R.").unwrap();
    let items: Vec<_> = pickle.values.entries(&pickle.root).unwrap().collect();
    assert!(
        matches!(items[..], [(Value::Text(a), Value::Int(1)), (Value::Text(b), Value::Int(2))] if **a == *"a" && **b == *"b")
    );
}

#[test]
fn long_numbers_keep_their_sign() {
    assert!(matches!(read(b"\x8a\x00.").unwrap().root, Value::Int(0)));
    assert!(matches!(read(b"\x8a\x01\xff.").unwrap().root, Value::Int(-1)));
    assert!(matches!(
        read(b"\x8a\x02\x00\x80.").unwrap().root,
        Value::Int(-32768)
    ));
    assert!(matches!(
        read(b"\x8a\x05\x00\x00\x00\x00\x01.").unwrap().root,
        Value::Int(0x1_0000_0000)
    ));
    assert!(matches!(
        read(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")
            .unwrap()
            .root,
        Value::PassedOver
    ));
}

proptest! {
    /// Programs of known instructions and short arguments reach further than random bytes.
    #[test]
    fn any_program_ends_in_a_value_or_an_error(
        steps in prop::collection::vec(prop::sample::select(vec![
            &b"("[..], b".", b"0", b"1", b"N", b"K\x03", b"U\x01a", b"]", b"}", b")", b"t", b"a", b"e", b"s",
            b"u", b"b", b"R", b"Q", b"\x81", b"\x85", b"\x86", b"\x87", b"\x8f", b"\x90", b"\x91", b"\x93",
            b"\x94", b"q\x00", b"h\x00", b"q\x01", b"h\x01", b"ccollections\nOrderedDict\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n",
            b"ctorch\nFloatStorage\n", b"U\x07storage", b"cargparse\nNamespace\n",
        ]), 0..60),
    ) {
        let _ = read(&steps.concat());
    }

    #[test]
    fn a_changed_pickle_ends_in_a_value_or_an_error(
        changes in prop::collection::vec((0..usize::MAX, any::<u8>()), 1..8),
    ) {
        let mut pickle = tensor(12, 0, &[3, 4], &[4, 1]);
        for (at, byte) in changes {
            let at = at % pickle.len();
            pickle[at] = byte;
        }
        let _ = read(&pickle);
    }
}
