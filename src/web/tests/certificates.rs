//! Certificates to order.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate and its key, as PEM.
pub(in crate::web) struct Pair {
    pub(in crate::web) certificate: String,
    pub(in crate::web) key: String,
    pub(in crate::web) der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

/// An authority.
pub(in crate::web) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(in crate::web) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::web) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    pub(in crate::web) fn der(&self) -> CertificateDer<'static> {
        self.0.as_ref().der().clone()
    }

    /// A server's certificate for 127.0.0.1.
    pub(in crate::web) fn server(&self, serial: u64) -> Pair {
        self.issue(|params| {
            params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
            params.serial_number = Some(SerialNumber::from(serial));
        })
    }

    /// A client's certificate with these names.
    pub(in crate::web) fn client(&self, names: Vec<SanType>) -> Pair {
        self.issue(|params| {
            params.subject_alt_names = names;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// A client's certificate whose time is over.
    pub(in crate::web) fn expired_client(&self) -> Pair {
        self.issue(|params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    fn issue(&self, shape: impl FnOnce(&mut CertificateParams)) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        shape(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }
}

impl Pair {
    pub(in crate::web) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key_der.clone()).unwrap()
    }
}

/// A DNS name.
pub(in crate::web) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}
