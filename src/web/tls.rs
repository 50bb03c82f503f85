//! Our side of TLS: certificate and key as they are on disk now, and what is spoken.

use std::fs::{self, File};
use std::io::Read;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::client::Clients;
use super::settings::{Pem, Source, Tls};
use crate::config::document::{Problem, Resolved, SIZE_LIMIT};

/// What is wrong with a certificate that is none; the library calls it a peer's.
const UNREADABLE: &str = "a certificate in it cannot be read";

/// What answers handshakes and judges clients.
pub(super) struct Gate {
    /// Answers handshakes.
    pub(super) acceptor: TlsAcceptor,
    /// Judges clients.
    pub(super) clients: Clients,
}

impl Gate {
    /// Reads certificates and keys.
    pub(super) fn open(tls: &Tls) -> Resolved<Self> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: tls.suites.clone(),
            kx_groups: tls.groups.clone(),
            ..ring::default_provider()
        });
        let ours = ours(tls, &provider)?;
        let authorities = tls.authorities.as_ref().map(authorities).transpose()?;
        let clients = Clients::new(
            tls.wanted,
            authorities,
            tls.allowed_names.clone(),
            &provider,
        )
        .map_err(|cause| {
            let named = tls.authorities.as_ref().unwrap_or(&tls.certificate);
            named.problem(&cause, "give the authority's own certificate")
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&tls.versions)
            .map_err(|error| {
                let remedy = "allow more versions, cipher suites or curves";
                tls.certificate.problem(&error, remedy)
            })?;
        let builder = match clients.asking(&provider) {
            Some(asking) => builder.with_client_cert_verifier(asking),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(ours)));
        config.ignore_client_order = tls.own_order;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: Arc::new(config).into(),
            clients,
        })
    }
}

impl Pem {
    fn problem(&self, what: &dyn std::fmt::Display, remedy: &str) -> Problem {
        let place = match &self.source {
            Source::File(path) => format!("{}: ", path.display()),
            Source::Inline(_) => String::new(),
        };
        Problem {
            line: self.line,
            key: format!("tls_server_config.{}", self.key),
            what: format!("{place}{what}"),
            remedy: remedy.to_owned(),
        }
    }

    /// The text, from where it is.
    fn read(&self) -> Resolved<Vec<u8>> {
        let path = match &self.source {
            Source::Inline(text) => return Ok(text.0.clone().into_bytes()),
            Source::File(path) => path,
        };
        let unreadable =
            |error: std::io::Error| self.problem(&error, "name a PEM file that can be read");
        // A pipe would hold us up for good.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(self.problem(&"not a file", "name a PEM file"));
        }
        let mut text = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(SIZE_LIMIT + 1)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        if text.len() as u64 > SIZE_LIMIT {
            let what = format!("larger than {SIZE_LIMIT} bytes");
            return Err(self.problem(&what, "is this the right file?"));
        }
        Ok(text)
    }

    fn certificates(&self) -> Resolved<Vec<CertificateDer<'static>>> {
        let remedy = "give certificates as PEM: -----BEGIN CERTIFICATE-----";
        let text = self.read()?;
        let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| self.problem(&broken(&error), remedy))?;
        if found.is_empty() {
            return Err(self.problem(&"there is no certificate in it", remedy));
        }
        Ok(found)
    }
}

/// What is wrong with a PEM text.
fn broken(error: &pem::Error) -> String {
    match error {
        // The library prints the marker as numbers.
        pem::Error::MissingSectionEnd { .. } => "it ends in the middle".to_owned(),
        other => other.to_string(),
    }
}

fn ours(tls: &Tls, provider: &CryptoProvider) -> Resolved<CertifiedKey> {
    let chain = tls.certificate.certificates()?;
    let remedy = "give the key as PEM, and not encrypted: -----BEGIN PRIVATE KEY-----";
    let key = PrivateKeyDer::from_pem_slice(&tls.key.read()?).map_err(|error| match error {
        pem::Error::NoItemsFound => tls.key.problem(&"there is no private key in it", remedy),
        other => tls.key.problem(&broken(&other), remedy),
    })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => tls.key.problem(
            &"the key is not that of the certificate",
            "give both from the same issuance",
        ),
        rustls::Error::InvalidCertificate(_) => tls
            .certificate
            .problem(&UNREADABLE, "give a certificate that is whole"),
        other => tls
            .key
            .problem(&other, "use an RSA, P-256, P-384 or Ed25519 key"),
    })
}

fn authorities(pem: &Pem) -> Resolved<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in pem.certificates()? {
        store
            .add(certificate)
            .map_err(|_| pem.problem(&UNREADABLE, "give the authority's own certificate"))?;
    }
    Ok(store)
}
