//! The names in a certificate (its subject alternative names), compared exactly: no wildcards, no other case.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Whether a certificate has one of these names; one that cannot be read has none.
pub(super) fn any_of(certificate: &CertificateDer<'_>, allowed: &[String]) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return false;
    };
    let Ok(Some((_, names))) = certificate.tbs_certificate.get::<SubjectAltName>() else {
        return false;
    };
    names
        .0
        .iter()
        .any(|name| allowed.iter().any(|allowed| is(name, allowed)))
}

fn is(name: &GeneralName, allowed: &str) -> bool {
    match name {
        GeneralName::DnsName(text) => text.as_str() == allowed,
        GeneralName::Rfc822Name(text) => text.as_str() == allowed,
        GeneralName::UniformResourceIdentifier(text) => text.as_str() == allowed,
        GeneralName::IpAddress(bytes) => {
            let address = match *bytes.as_bytes() {
                [a, b, c, d] => IpAddr::from([a, b, c, d]),
                ref bytes => match <[u8; 16]>::try_from(bytes) {
                    Ok(bytes) => IpAddr::from(bytes),
                    Err(_) => return false,
                },
            };
            allowed.parse() == Ok(address)
        }
        _ => false,
    }
}
