//! Reads any other gzip file, in one streaming pass, to its last byte.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};

use super::header::GZIP_MAGIC;
use super::reader::{Summary, TextSink};
use crate::finding::{Finding, FindingKind, Findings};
use crate::ledger::hex;

const CHUNK: usize = 256 * 1024;

/// Counts and hashes what is read from a file.
struct Counted<R> {
    input: R,
    bytes: u64,
    digest: Sha256,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        self.digest.update(buffer.get(..read).unwrap_or(&[]));
        Ok(read)
    }
}

/// Reads a gzip file of one or more members.
pub fn read<R: Read>(input: R, sink: &mut impl TextSink) -> io::Result<Summary> {
    let counted = Counted {
        input,
        bytes: 0,
        digest: Sha256::new(),
    };
    let mut file = BufReader::with_capacity(CHUNK, counted);
    let mut state = State {
        findings: Findings::default(),
        text: 0,
        members: 0,
        stopped: false,
    };
    loop {
        let at = position(&file);
        let next = file.fill_buf()?;
        if next.is_empty() {
            break;
        }
        if !next.starts_with(&GZIP_MAGIC) {
            state.not_gzip(at);
            break;
        }
        let mut decoder = GzDecoder::new(file);
        let fault = state.member(&mut decoder, sink);
        file = decoder.into_inner();
        if let Some(error) = fault {
            let place = format!(
                "member {} at byte {at} of the file, near byte {}",
                state.members,
                position(&file)
            );
            state
                .findings
                .push(Finding::error(kind_of(&error), place, error.to_string()));
            break;
        }
        state.members += 1;
        if state.stopped {
            break;
        }
    }
    let whole = state.findings.is_good() && !state.stopped;
    if !state.stopped {
        // The digest is of the whole file, also behind what could not be read.
        io::copy(&mut file, &mut io::sink())?;
    }
    let counted = file.into_inner();
    if counted.bytes == 0 && !state.stopped {
        state.findings.push(Finding::error(
            FindingKind::EmptyFile,
            "the file",
            "it is empty",
        ));
    }
    Ok(Summary {
        bytes: counted.bytes,
        uncompressed_bytes: state.text,
        members: state.members,
        sha256: if state.stopped {
            String::new()
        } else {
            hex(&counted.digest.finalize())
        },
        findings: state.findings,
        text_is_whole: whole,
    })
}

fn position<R>(file: &BufReader<Counted<R>>) -> u64 {
    file.get_ref().bytes - file.buffer().len() as u64
}

fn kind_of(error: &io::Error) -> FindingKind {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        FindingKind::Truncated
    } else {
        FindingKind::BadMember
    }
}

struct State {
    findings: Findings,
    text: u64,
    members: u64,
    stopped: bool,
}

impl State {
    /// Inflates one member; gives what is wrong with it.
    fn member(&mut self, decoder: &mut impl Read, sink: &mut impl TextSink) -> Option<io::Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => return None,
                Ok(read) => {
                    self.text += read as u64;
                    if !sink.text(buffer.get(..read).unwrap_or(&[])) {
                        self.stopped = true;
                        return None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Some(error),
            }
        }
    }

    fn not_gzip(&mut self, at: u64) {
        let finding = if self.members == 0 {
            Finding::error(
                FindingKind::BadHeader,
                "the beginning of the file",
                "it is not gzip",
            )
        } else {
            let message = format!("the gzip data ends at byte {at}, but the file goes on");
            Finding::error(
                FindingKind::TrailingGarbage,
                format!("byte {at} of the file"),
                message,
            )
        };
        self.findings.push(finding);
    }
}
