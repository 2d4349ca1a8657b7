//! TLS settings of our own: ring, the platform's verifier, nothing process-wide.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::{Error, ErrorKind};

pub(super) fn client_config(roots: &[Vec<u8>]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| {
            failed("the TLS provider supports no usable version").with_source(error)
        })?;
    let mut config = match platform(roots, provider)? {
        Some(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth(),
        None => builder
            .with_root_certificates(given(roots)?)
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The platform's verifier; `None` where the system has no root certificates, as in a bare container: plain HTTP and the roots
/// that the program gave still work there.
fn platform(
    roots: &[Vec<u8>],
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ServerCertVerifier>>, Error> {
    given(roots)?;
    let extra = roots.iter().map(|der| CertificateDer::from(der.clone()));
    match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => Ok(Some(Arc::new(verifier))),
        Err(error) => {
            tracing::warn!(%error, "the system's root certificates cannot be used; only the given ones are trusted");
            Ok(None)
        }
    }
}

fn given(roots: &[Vec<u8>]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for der in roots {
        store
            .add(CertificateDer::from(der.clone()))
            .map_err(|error| {
                failed("a given root certificate is not a certificate in DER form")
                    .with_source(error)
            })?;
    }
    Ok(store)
}

fn failed(why: &str) -> Error {
    Error::new(ErrorKind::Policy, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_without_a_process_wide_provider_and_offers_http2() {
        let config = client_config(&[]).unwrap();
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
        assert!(CryptoProvider::get_default().is_none());
    }

    #[test]
    fn garbage_is_no_root_certificate() {
        assert_eq!(
            client_config(&[b"garbage".to_vec()]).unwrap_err().kind(),
            ErrorKind::Policy
        );
    }
}
