//! TLS to PostgreSQL, with what libpq's sslmode means: `prefer` and `require` encrypt and trust any certificate,
//! `verify-ca` wants a trusted authority, `verify-full` also the host's name.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::SslMode;
use crate::error::{Failure, FailureKind, Result};

/// A TLS connector for a mode; `roots` is sslrootcert, PEM.
pub fn connector(mode: SslMode, roots: Option<&Path>) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(mode, roots, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Config, "set TLS up").because(error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(
    mode: SslMode,
    roots: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Verifier> {
    let trusted = match (mode, roots) {
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => {
            return Err(Failure::new(
                FailureKind::Config,
                format!(
                    "connect with sslmode {}: no certificate to trust is named",
                    mode.as_str()
                ),
            )
            .remedy("set sslrootcert (PGSSLROOTCERT) to a PEM file"));
        }
        // libpq: require with a root certificate at hand checks it like verify-ca.
        (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, Some(path)) => {
            Some(webpki(path, provider)?)
        }
        _ => None,
    };
    Ok(Verifier {
        trusted,
        check_name: mode == SslMode::VerifyFull,
        provider: Arc::clone(provider),
    })
}

fn webpki(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let key = "sslrootcert";
    let store = Arc::new(authorities(path, key)?);
    WebPkiServerVerifier::builder_with_provider(store, Arc::clone(provider))
        .build()
        .map_err(|error| untrusted(path, key, error.into()))
}

/// The authorities in a PEM file; `key` is what names it in the configuration.
pub fn authorities(path: &Path, key: &str) -> Result<RootCertStore> {
    let failed = |cause| untrusted(path, key, cause);
    // Opening a pipe would wait for its writer.
    let facts = std::fs::metadata(path).map_err(|error| failed(error.into()))?;
    if !facts.is_file() {
        return Err(failed("it is no regular file".to_owned().into()));
    }
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.into()))? {
        store
            .add(certificate.map_err(|error| failed(error.into()))?)
            .map_err(|error| failed(error.into()))?;
    }
    Ok(store)
}

fn untrusted(path: &Path, key: &str, cause: crate::error::Cause) -> Failure {
    let what = format!("read certificates to trust from {}", path.display());
    Failure::new(FailureKind::Config, what)
        .because(cause)
        .remedy(format!("name a readable PEM file in {key}"))
}

#[derive(Debug)]
struct Verifier {
    trusted: Option<Arc<WebPkiServerVerifier>>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        match trusted.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            // The name is checked last, so everything else was in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
