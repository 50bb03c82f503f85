//! The token of those who may act: read from its file each time it is needed, so that a new one counts at once.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Largest token; its file is not longer but for the newline.
const LIMIT: u64 = 4 << 10;

/// A token shorter than this can be guessed in the end.
const SHORT: usize = 16;

/// Where the token is.
#[derive(Clone)]
pub(super) struct Token {
    path: Option<Arc<Path>>,
    /// What the log was told of the file last, so that it is told once.
    told: Arc<Mutex<String>>,
}

/// What follows from a token that someone sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is the one.
    Right,
    /// It is not.
    Wrong,
    /// There is none to compare with; the log says why.
    Unusable,
}

/// A token as its file has it, and what is not as it should be with that file.
struct Kept {
    token: Vec<u8>,
    warning: String,
}

impl Token {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self {
            path: path.map(Arc::from),
            told: Arc::default(),
        }
    }

    /// Whether anyone may act at all.
    pub(super) fn is_configured(&self) -> bool {
        self.path.is_some()
    }

    /// Judges a token that someone sent.
    pub(super) async fn judge(&self, sent: &[u8]) -> Judgement {
        // The digests are of one length and say nothing of the tokens, so comparing them tells no time.
        let sent = Sha256::digest(sent);
        let own = self.clone();
        let digest = tokio::task::spawn_blocking(move || own.digest()).await;
        match digest {
            Ok(Some(right)) if bool::from(right.ct_eq(&sent)) => Judgement::Right,
            Ok(Some(_)) => Judgement::Wrong,
            Ok(None) | Err(_) => Judgement::Unusable,
        }
    }

    /// The digest of the token in the file. May block.
    fn digest(&self) -> Option<[u8; 32]> {
        let path = self.path.as_deref()?;
        match read(path) {
            Ok(kept) => {
                self.tell(kept.warning, false);
                Some(Sha256::digest(&kept.token).into())
            }
            Err(why) => {
                let what = format!("nobody may act: token file {}: {why}", path.display());
                self.tell(what, true);
                None
            }
        }
    }

    fn tell(&self, what: String, is_error: bool) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == what {
            return;
        }
        match is_error {
            _ if what.is_empty() => {}
            true => tracing::error!("{what}"),
            false => tracing::warn!("{what}"),
        }
        *told = what;
    }
}

/// Reads a token file. What is wrong is said without a byte of what is in it.
fn read(path: &Path) -> Result<Kept, String> {
    // Opening a pipe would wait for its writer.
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| error.to_string())?;
    let facts = file.metadata().map_err(|error| error.to_string())?;
    if !facts.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut token = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut token)
        .map_err(|error| error.to_string())?;
    if token.len() as u64 > LIMIT {
        return Err(format!("it is longer than {LIMIT} bytes"));
    }
    while token.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        token.pop();
    }
    if token.is_empty() {
        return Err("it is empty".to_owned());
    }
    if !token.iter().all(u8::is_ascii_graphic) {
        return Err(
            "it holds more than letters, digits and signs, which cannot be sent as a token; write one with `openssl rand -hex 32`"
                .to_owned(),
        );
    }
    let mode = facts.permissions().mode() & 0o777;
    let mut warning = String::new();
    if mode & 0o077 != 0 {
        warning = format!(
            "token file {} may be used by others than its owner (mode {mode:04o}); set its mode to 0400",
            path.display()
        );
    } else if token.len() < SHORT {
        warning = format!(
            "the token in {} is shorter than {SHORT} bytes and can be guessed in the end; write one with `openssl rand -hex 32`",
            path.display()
        );
    }
    Ok(Kept { token, warning })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(path: &Path, text: &[u8]) {
        fs::write(path, text).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode");
    }

    #[tokio::test]
    async fn the_file_is_read_anew_each_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let token = Token::new(Some(path.clone()));
        assert_eq!(token.judge(b"x").await, Judgement::Unusable);
        put(&path, b"first-token-of-all\r\n");
        assert_eq!(token.judge(b"first-token-of-all").await, Judgement::Right);
        assert_eq!(token.judge(b"first-token-of-al").await, Judgement::Wrong);
        assert_eq!(token.judge(b"").await, Judgement::Wrong);
        put(&path, b"second-token-of-all\n");
        assert_eq!(token.judge(b"first-token-of-all").await, Judgement::Wrong);
        assert_eq!(token.judge(b"second-token-of-all").await, Judgement::Right);
    }

    #[tokio::test]
    async fn no_token_is_in_a_file_that_is_empty_too_long_or_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let token = Token::new(Some(path.clone()));
        for text in [
            b"".as_slice(),
            b"\n",
            b"two words",
            b"a\nb",
            "ü".as_bytes(),
            &[b'x'; 4_097],
        ] {
            put(&path, text);
            let sent = text.strip_suffix(b"\n").unwrap_or(text);
            assert_eq!(token.judge(sent).await, Judgement::Unusable, "{text:?}");
        }
        put(&path, &[b'x'; 4_096]);
        assert_eq!(token.judge(&[b'x'; 4_096]).await, Judgement::Right);
        assert_eq!(
            Token::new(Some(directory.path().to_owned()))
                .judge(b"x")
                .await,
            Judgement::Unusable
        );
        assert!(!Token::new(None).is_configured());
    }

    #[test]
    fn what_is_said_of_a_file_never_shows_the_token() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        put(&path, b"hunter2");
        let kept = read(&path).unwrap_or_else(|why| panic!("{why}"));
        assert!(kept.warning.contains("shorter than") && !kept.warning.contains("hunter2"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        let kept = read(&path).unwrap_or_else(|why| panic!("{why}"));
        assert!(kept.warning.contains("mode 0640"), "{}", kept.warning);
        put(&path, b"hunter2 and more");
        assert!(read(&path).is_err_and(|why| !why.contains("hunter2")));
    }
}
