//! What lets us in: secrets and authorities, read from their files each time, so that new ones count at once.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{Alertmanager, Login};
use crate::error::{Failure, FailureKind, Result};
use crate::pg::tls;

/// Largest file with a secret.
const SECRET_LIMIT: u64 = 16 << 10;

/// For one request.
pub(super) struct Access {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Reads it all. May block.
pub(super) fn read(config: &Alertmanager, is_tls: bool) -> Result<Access> {
    let authorization = match &config.login {
        Login::Nothing => None,
        Login::Password(user, file) => {
            let pair = BASE64_STANDARD.encode(format!("{user}:{}", secret(file)?));
            Some(header(&format!("Basic {pair}"), file)?)
        }
        Login::Token(file) => Some(header(&format!("Bearer {}", secret(file)?), file)?),
    };
    let tls = is_tls
        .then(|| trusting(config.ca_file.as_deref()))
        .transpose()?;
    Ok(Access { authorization, tls })
}

fn header(text: &str, file: &Path) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        // The error would show what is in it.
        unusable(file).because("it holds what no header can".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn unusable(file: &Path) -> Failure {
    let what = format!("read the secret from {}", file.display());
    Failure::new(FailureKind::Config, what)
        .remedy("name a file that holds nothing but the secret, and that pgvigil may read")
}

fn secret(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| unusable(path).because(error);
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(unusable(path).because("it is no regular file".to_owned()));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(SECRET_LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > SECRET_LIMIT {
        return Err(unusable(path).because(format!("it is longer than {SECRET_LIMIT} bytes")));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// TLS with the authorities in a file, or with those of the system.
fn trusting(authorities: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let roots = match authorities {
        Some(path) => tls::authorities(path, "ca_file")?,
        None => of_the_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Config, "set TLS up").because(error))?;
    Ok(Arc::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}

fn of_the_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One odd certificate among a hundred is no reason to trust none.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Failure::new(
            FailureKind::Config,
            "find authorities that this system trusts",
        )
        .remedy("install ca-certificates, or name the authority with ca_file"));
    }
    Ok(roots)
}
