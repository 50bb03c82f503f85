use std::io::{Cursor, Read as _};

use proptest::prelude::*;

use super::header::SIGNATURE;
use super::reader::Summary;
use super::*;
use crate::finding::FindingKind;

fn archive(blocks: &[&[u8]], id: u64) -> Vec<u8> {
    let mut writer = writer::Writer::new(Vec::new(), id, 2);
    for block in blocks {
        assert!(writer.block(block.to_vec()));
    }
    let (file, written) = writer.finish().expect("in memory");
    assert_eq!(written.bytes, file.len() as u64);
    file
}

fn read(file: &[u8]) -> (Vec<u8>, Summary) {
    let mut text = Vec::new();
    let summary = reader::read(
        Cursor::new(file.to_vec()),
        2,
        None,
        &mut |piece: &[u8]| {
            text.extend_from_slice(piece);
            true
        },
    );
    (text, summary.expect("in memory"))
}

fn sample() -> Vec<u8> {
    archive(&[b"first block\n", b"second block\n", b"third block\n"], 7)
}

/// Offsets at which members begin.
fn members(file: &[u8]) -> Vec<usize> {
    memchr::memmem::find_iter(file, &SIGNATURE).collect()
}

#[track_caller]
fn found(file: &[u8], kind: FindingKind) {
    let (_, summary) = read(file);
    let kinds: Vec<_> = summary
        .findings
        .errors()
        .map(|finding| finding.kind)
        .collect();
    assert!(
        kinds.contains(&kind),
        "wanted {kind:?}, found {:?}",
        summary.findings.list
    );
    assert!(!summary.text_is_whole || kind == FindingKind::TrailingGarbage);
}

#[test]
fn any_gzip_reader_reads_it() {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&sample()[..])
        .read_to_string(&mut text)
        .expect("gzip");
    assert_eq!(text, "first block\nsecond block\nthird block\n");
}

#[test]
fn a_whole_archive_has_no_findings() {
    let (text, summary) = read(&sample());
    assert_eq!(text, b"first block\nsecond block\nthird block\n");
    assert_eq!(summary.findings.list, []);
    assert!(summary.text_is_whole);
    assert_eq!(summary.members, 4);
}

#[test]
fn every_flipped_bit_is_found_and_placed() {
    let file = sample();
    for bit in 0..file.len() * 8 {
        let mut broken = file.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        let (_, summary) = read(&broken);
        let first = summary.findings.errors().next();
        assert!(
            first.is_some_and(|finding| finding.place.contains("byte")),
            "bit {bit} was not found"
        );
    }
}

#[test]
fn every_cut_is_found() {
    let file = sample();
    for length in 1..file.len() {
        found(&file[..length], FindingKind::Truncated);
    }
}

#[test]
fn members_out_of_place_are_named() {
    let file = sample();
    let at = members(&file);
    let piece = |index: usize| &file[at[index]..at.get(index + 1).copied().unwrap_or(file.len())];
    found(
        &[piece(0), piece(2), piece(1), piece(3)].concat(),
        FindingKind::MisplacedMember,
    );
    found(
        &[piece(0), piece(1), piece(1), piece(2), piece(3)].concat(),
        FindingKind::MisplacedMember,
    );
    found(
        &[piece(0), piece(2), piece(3)].concat(),
        FindingKind::MisplacedMember,
    );
    found(
        &[piece(0), piece(1), piece(2)].concat(),
        FindingKind::Truncated,
    );
    let other = archive(&[b"first block\n", b"forged block\n", b"third block\n"], 8);
    let pasted = &other[members(&other)[1]..members(&other)[2]];
    found(
        &[piece(0), pasted, piece(2), piece(3)].concat(),
        FindingKind::MisplacedMember,
    );
    found(
        &[&file[..], b"garbage"].concat(),
        FindingKind::TrailingGarbage,
    );
    found(
        &[&file[..], &file[..]].concat(),
        FindingKind::MisplacedMember,
    );
}

#[test]
fn foreign_files() {
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let check = |file: &[u8]| foreign::read(file, &mut |_: &[u8]| true).expect("in memory");
    let kinds = |file: &[u8]| {
        check(file)
            .findings
            .list
            .iter()
            .map(|finding| finding.kind)
            .collect::<Vec<_>>()
    };
    let one = gzip(b"text");
    assert_eq!(kinds(&one), []);
    let two = check(&[&one[..], &one[..]].concat());
    assert_eq!(
        (two.members, two.uncompressed_bytes, two.findings.is_good()),
        (2, 8, true)
    );
    assert_eq!(kinds(&[]), [FindingKind::EmptyFile]);
    assert_eq!(kinds(b"plain text"), [FindingKind::BadHeader]);
    assert_eq!(
        kinds(&[&one[..], b"\0\0"].concat()),
        [FindingKind::TrailingGarbage]
    );
    for length in 3..one.len() {
        assert_eq!(kinds(&one[..length]), [FindingKind::Truncated], "{length}");
    }
    let mut wrong = one.clone();
    let crc = one.len() - 5;
    wrong[crc] ^= 1;
    assert_eq!(kinds(&wrong), [FindingKind::BadMember]);
}

proptest! {
    #[test]
    fn round_trip(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..3000), 0..12)) {
        let slices: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
        let (text, summary) = read(&archive(&slices, 1));
        prop_assert_eq!(text, blocks.concat());
        prop_assert!(summary.findings.is_good());
    }

    #[test]
    fn garbage_never_panics(mut file in proptest::collection::vec(any::<u8>(), 0..4000), signatures in proptest::collection::vec(0..4000usize, 0..5)) {
        for at in signatures {
            if let Some(room) = file.get_mut(at..at + SIGNATURE.len()) {
                room.copy_from_slice(&SIGNATURE);
            }
        }
        let (_, summary) = read(&file);
        prop_assert!(!summary.findings.is_good());
        let _ = foreign::read(&file[..], &mut |_: &[u8]| true);
    }
}
