//! Certificates of clients: asked for in the handshake, judged with each request.
//!
//! A handshake never fails for want of a certificate: the kubelet has none, and its probes have to get through. It only
//! proves that the client holds the key of the certificate that it showed. Whether that certificate will do is decided when
//! it is known what is asked for, with the authorities of that moment and at that time, so that a connection that is kept
//! open does not outlive a certificate.

mod names;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

/// What is wanted of clients, as Go's `ClientAuthType` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// They are not asked.
    Nothing,
    /// They are asked, and that is all.
    Requested,
    /// Any certificate.
    Any,
    /// None, or one from a trusted authority.
    VerifiedIfGiven,
    /// One from a trusted authority.
    Verified,
}

impl Wanted {
    /// Whether certificates are held against authorities.
    pub(super) fn is_verified(self) -> bool {
        matches!(self, Self::VerifiedIfGiven | Self::Verified)
    }
}

/// Judges clients.
#[derive(Debug)]
pub(super) struct Clients {
    wanted: Wanted,
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    allowed_names: Option<Vec<String>>,
}

impl Clients {
    /// A judge with these authorities.
    pub(super) fn new(
        wanted: Wanted,
        authorities: Option<RootCertStore>,
        allowed_names: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, crate::error::Cause> {
        let authorities = authorities.map(|roots| {
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
        });
        Ok(Self {
            wanted,
            authorities: authorities.transpose()?,
            allowed_names,
        })
    }

    /// The part in the handshake, unless clients are not asked.
    pub(super) fn asking(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Arc<dyn ClientCertVerifier>> {
        if self.wanted == Wanted::Nothing {
            return None;
        }
        let hints = self.authorities.as_ref();
        Some(Arc::new(Asking {
            hints: hints.map_or_else(Vec::new, |known| known.root_hint_subjects().to_vec()),
            provider: Arc::clone(provider),
        }))
    }

    /// Judges what a client showed in its handshake, its own certificate first; `Err` says what is wrong.
    pub(super) fn judge(&self, shown: &[CertificateDer<'static>]) -> Result<(), &'static str> {
        let Some((own, others)) = shown.split_first() else {
            return match self.wanted {
                Wanted::Any | Wanted::Verified => Err("a client certificate is needed here"),
                Wanted::Nothing | Wanted::Requested | Wanted::VerifiedIfGiven => Ok(()),
            };
        };
        if self.wanted.is_verified() {
            // Settings name authorities wherever certificates are verified; without them nobody is trusted.
            let authorities = self
                .authorities
                .as_ref()
                .ok_or("the client certificate cannot be checked")?;
            authorities
                .verify_client_cert(own, others, UnixTime::now())
                .map_err(|error| fault(&error))?;
        }
        match &self.allowed_names {
            Some(allowed) if !names::any_of(own, allowed) => {
                Err("the client certificate has none of the names that are let in")
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with a certificate, in few words for the client.
fn fault(error: &Error) -> &'static str {
    let Error::InvalidCertificate(error) = error else {
        return "the client certificate is not valid";
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the client certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the client certificate is not valid yet"
        }
        CertificateError::UnknownIssuer => {
            "the client certificate does not come from a trusted authority"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the client certificate is not one for clients"
        }
        _ => "the client certificate is not valid",
    }
}

/// Asks for a certificate, and has its key proven.
#[derive(Debug)]
struct Asking {
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Asking {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
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
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
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
