//! `tls_server_config`: which parts fit together, and what of Go's TLS rustls does not have.

use std::path::Path;

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{ALL_CIPHER_SUITES, ALL_KX_GROUPS};
use rustls::version::{TLS12, TLS13};

use super::{Pem, Secret, Source, Tls, truth};
use crate::config::document::{Resolved, Section, Text};
use crate::web::client::Wanted;
use crate::web::raw::{TlsServer, set};
use crate::web::words::{self, Suite, Version};

/// `None` where the section names no certificate and asks for none: exporter-toolkit serves plain HTTP then.
pub(super) fn resolve(
    section: &Section,
    raw: &TlsServer,
    directory: &Path,
    notes: &mut Vec<String>,
) -> Resolved<Option<Tls>> {
    let mut pem = |file, file_key, text, text_key| {
        let both = set(file).is_some() && set(text).is_some();
        if both {
            notes.push(format!(
                "tls_server_config.{text_key}: not used, because {file_key} is there too"
            ));
        }
        named(file, file_key, directory).or_else(|| inline(text, text_key))
    };
    let certificate = pem(&raw.cert_file, "cert_file", &raw.cert, "cert");
    let key = pem(&raw.key_file, "key_file", &raw.key, "key");
    let authorities = pem(
        &raw.client_ca_file,
        "client_ca_file",
        &raw.client_ca,
        "client_ca",
    );
    let wanted = wanted(section, raw, authorities.as_ref())?;
    let allowed_names = allowed_names(section, raw, wanted)?;
    let (versions, suites) = versions_and_suites(section, raw, notes)?;
    let groups = groups(section, raw, notes)?;
    let own_order = set(&raw.prefer_server_cipher_suites).map_or(Ok(true), |typed| {
        truth(section, "prefer_server_cipher_suites", typed)
    })?;
    let asked = certificate.is_some()
        || key.is_some()
        || authorities.is_some()
        || allowed_names.is_some()
        || set(&raw.client_auth_type).is_some();
    if !asked {
        notes.push(
            "tls_server_config names no certificate, so plain HTTP is served without TLS"
                .to_owned(),
        );
        return Ok(None);
    }
    let missing = |key, remedy| section.missing(key, remedy);
    Ok(Some(Tls {
        certificate: certificate.ok_or_else(|| {
            missing(
                "cert_file",
                "name the server's certificate, or give it in cert",
            )
        })?,
        key: key
            .ok_or_else(|| missing("key_file", "name the certificate's key, or give it in key"))?,
        wanted,
        authorities,
        allowed_names,
        versions,
        suites,
        groups,
        own_order,
    }))
}

fn named(typed: &Option<Text>, key: &'static str, directory: &Path) -> Option<Pem> {
    let typed = set(typed)?;
    Some(Pem {
        key,
        line: typed.referenced.line(),
        source: Source::File(directory.join(&typed.value)),
    })
}

fn inline(typed: &Option<Text>, key: &'static str) -> Option<Pem> {
    let typed = set(typed)?;
    Some(Pem {
        key,
        line: typed.referenced.line(),
        source: Source::Inline(Secret(typed.value.clone())),
    })
}

fn wanted(section: &Section, raw: &TlsServer, authorities: Option<&Pem>) -> Resolved<Wanted> {
    let remedy = "use NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert";
    let typed = set(&raw.client_auth_type);
    let wanted = match typed {
        None => Wanted::Nothing,
        Some(typed) => words::wanted(&typed.value)
            .ok_or_else(|| section.bad("client_auth_type", typed, "unknown", remedy))?,
    };
    match (authorities, typed) {
        (Some(pem), _) if wanted == Wanted::Nothing => Err(section.problem(
            pem.key,
            pem.line,
            "there is an authority for clients' certificates, but none are asked for",
            "set client_auth_type to RequireAndVerifyClientCert",
        )),
        // Go would trust every authority that the system trusts: anyone who owns a domain.
        (None, Some(typed)) if wanted.is_verified() => Err(section.bad(
            "client_auth_type",
            typed,
            "no authority is named that certificates have to come from",
            "name it in client_ca_file or client_ca",
        )),
        _ => Ok(wanted),
    }
}

fn allowed_names(
    section: &Section,
    raw: &TlsServer,
    wanted: Wanted,
) -> Resolved<Option<Vec<String>>> {
    let Some(typed) = &raw.client_allowed_sans else {
        return Ok(None);
    };
    let line = typed
        .first()
        .map_or(section.line, |first| first.referenced.line());
    let refused = |what, remedy| section.problem("client_allowed_sans", line, what, remedy);
    if !matches!(wanted, Wanted::Any | Wanted::Verified) {
        return Err(refused(
            "clients may come without a certificate",
            "set client_auth_type to RequireAndVerifyClientCert or RequireAnyClientCert",
        ));
    }
    if typed.is_empty() {
        return Err(refused(
            "an empty list lets nobody in",
            "name someone or leave the key out",
        ));
    }
    Ok(Some(typed.iter().map(|name| name.value.clone()).collect()))
}

fn version(
    section: &Section,
    key: &str,
    typed: Option<&Text>,
    usual: Version,
) -> Resolved<Version> {
    let Some(typed) = typed else { return Ok(usual) };
    let version = words::version(&typed.value)
        .ok_or_else(|| section.bad(key, typed, "not a TLS version", "use TLS12 or TLS13"))?;
    if version < Version::Tls12 {
        let what = "TLS 1.0 and 1.1 are broken and not spoken here";
        return Err(section.bad(key, typed, what, "use TLS12 or TLS13"));
    }
    Ok(version)
}

type Spoken = (
    Vec<&'static rustls::SupportedProtocolVersion>,
    Vec<SupportedCipherSuite>,
);

fn versions_and_suites(
    section: &Section,
    raw: &TlsServer,
    notes: &mut Vec<String>,
) -> Resolved<Spoken> {
    let min = version(
        section,
        "min_version",
        set(&raw.min_version),
        Version::Tls12,
    )?;
    let max = version(
        section,
        "max_version",
        set(&raw.max_version),
        Version::Tls13,
    )?;
    if let Some(typed) = set(&raw.max_version)
        && max < min
    {
        let remedy = "swap them or leave one out";
        return Err(section.bad("max_version", typed, "older than min_version", remedy));
    }
    let mut versions = Vec::new();
    let mut suites: Vec<_> = ALL_CIPHER_SUITES
        .iter()
        .copied()
        .filter(|suite| suite.tls13().is_some())
        .collect();
    if max == Version::Tls13 {
        versions.push(&TLS13);
    }
    let typed = raw.cipher_suites.as_deref().unwrap_or_default();
    let mut older = Vec::new();
    for typed in typed {
        match words::suite(&typed.value) {
            Some(Suite::Tls12(suite)) => older.push(suite),
            Some(Suite::Tls13) => {}
            Some(Suite::Missing) => notes.push(format!(
                "tls_server_config.cipher_suites: {} is weak and left out",
                typed.value
            )),
            None => {
                let remedy =
                    "use names of Go's crypto/tls, as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
                return Err(section.bad("cipher_suites", typed, "unknown", remedy));
            }
        }
    }
    if min == Version::Tls12 {
        match typed.first() {
            None => older.extend(
                ALL_CIPHER_SUITES
                    .iter()
                    .filter(|suite| suite.tls13().is_none()),
            ),
            Some(first) if older.is_empty() && max == Version::Tls12 => {
                let what = "none of the list can be used with TLS 1.2";
                let remedy = "add TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, or allow TLS13";
                return Err(section.bad("cipher_suites", first, what, remedy));
            }
            Some(_) if older.is_empty() => notes.push(
                "tls_server_config.cipher_suites: none of the list can be used with TLS 1.2, so only TLS 1.3 is spoken"
                    .to_owned(),
            ),
            Some(_) => {}
        }
        if !older.is_empty() {
            versions.push(&TLS12);
            suites.extend(older);
        }
    }
    Ok((versions, suites))
}

fn groups(
    section: &Section,
    raw: &TlsServer,
    notes: &mut Vec<String>,
) -> Resolved<Vec<&'static dyn SupportedKxGroup>> {
    let typed = raw.curve_preferences.as_deref().unwrap_or_default();
    let Some(first) = typed.first() else {
        return Ok(ALL_KX_GROUPS.to_vec());
    };
    let mut groups = Vec::new();
    for typed in typed {
        match words::curve(&typed.value) {
            Some(Some(group)) => groups.push(group),
            Some(None) => notes.push(format!(
                "tls_server_config.curve_preferences: {} is not to be had and left out",
                typed.value
            )),
            None => {
                let remedy = "use X25519, CurveP256 or CurveP384";
                return Err(section.bad("curve_preferences", typed, "unknown", remedy));
            }
        }
    }
    if groups.is_empty() {
        let what = "none of the list is to be had";
        let remedy = "add X25519, CurveP256 or CurveP384";
        return Err(section.bad("curve_preferences", first, what, remedy));
    }
    Ok(groups)
}
