//! Go's names of TLS versions, cipher suites and curves, and what rustls has of them.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite as suite, kx_group as group};

use super::client::Wanted;

/// A TLS version, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

/// What a known cipher suite is to us.
#[derive(Clone, Copy)]
pub(super) enum Suite {
    /// One of TLS 1.3, which cannot be chosen: all are always offered, as in Go.
    Tls13,
    /// One of TLS 1.2.
    Tls12(SupportedCipherSuite),
    /// One without forward secrecy, or with CBC.
    Missing,
}

/// The version of a name.
pub(super) fn version(name: &str) -> Option<Version> {
    match name {
        "TLS10" => Some(Version::Tls10),
        "TLS11" => Some(Version::Tls11),
        "TLS12" => Some(Version::Tls12),
        "TLS13" => Some(Version::Tls13),
        _ => None,
    }
}

/// The suite of a name; `None` where Go does not know it either.
pub(super) fn suite(name: &str) -> Option<Suite> {
    Some(match name {
        "TLS_AES_128_GCM_SHA256" | "TLS_AES_256_GCM_SHA384" | "TLS_CHACHA20_POLY1305_SHA256" => {
            Suite::Tls13
        }
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => {
            Suite::Tls12(suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
        }
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => {
            Suite::Tls12(suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)
        }
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => {
            Suite::Tls12(suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
        }
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => {
            Suite::Tls12(suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
        }
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => {
            Suite::Tls12(suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)
        }
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => {
            Suite::Tls12(suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)
        }
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"
        | "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
        | "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"
        | "TLS_RSA_WITH_AES_128_CBC_SHA"
        | "TLS_RSA_WITH_AES_256_CBC_SHA"
        | "TLS_RSA_WITH_AES_128_GCM_SHA256"
        | "TLS_RSA_WITH_AES_256_GCM_SHA384" => Suite::Missing,
        _ => return None,
    })
}

/// The curve of a name, and `Some(None)` where only Go has it.
pub(super) fn curve(name: &str) -> Option<Option<&'static dyn SupportedKxGroup>> {
    match name {
        "CurveP256" => Some(Some(group::SECP256R1)),
        "CurveP384" => Some(Some(group::SECP384R1)),
        "X25519" => Some(Some(group::X25519)),
        "CurveP521" | "X25519MLKEM768" => Some(None),
        _ => None,
    }
}

/// What is wanted of clients, by Go's name.
pub(super) fn wanted(name: &str) -> Option<Wanted> {
    match name {
        "NoClientCert" => Some(Wanted::Nothing),
        "RequestClientCert" => Some(Wanted::Requested),
        // The second is an old name of the toolkit's.
        "RequireAnyClientCert" | "RequireClientCert" => Some(Wanted::Any),
        "VerifyClientCertIfGiven" => Some(Wanted::VerifiedIfGiven),
        "RequireAndVerifyClientCert" => Some(Wanted::Verified),
        _ => None,
    }
}
