//! TLS for syslog (RFC 5425) and RELP: TLS 1.2 and 1.3, client certificates where asked for, certificates read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How often the files are looked at.
const LOOK_TIME: Duration = Duration::from_secs(1);

/// Where the certificates of a listener are, in PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// Its own chain, the leaf first.
    pub certificate: PathBuf,
    /// The key of the leaf.
    pub key: PathBuf,
    /// The authorities of which a client must have a certificate; none: clients need none.
    pub client_authorities: Option<PathBuf>,
}

impl TlsFiles {
    /// Reads them, as a listener will.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn check(&self) -> Result<(), TlsError> {
        load(self).map(drop)
    }
}

/// The certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of what it should.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// The authorities are of no use.
    #[error("{path} holds no authority that clients can be checked against")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::server::VerifierBuilderError,
    },
    /// Key and certificate do not fit, or are of a kind that is not known.
    #[error("the certificate in {path} cannot be used")]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// The configuration in force, replaced when the files change.
#[derive(Clone)]
pub(super) struct Tls {
    files: Arc<TlsFiles>,
    /// The files as they were before they were read.
    opened: Stamps,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    pub(super) fn open(files: &TlsFiles) -> Result<Tls, TlsError> {
        let opened = stamps(files);
        let config = load(files)?;
        Ok(Tls { files: Arc::new(files.clone()), opened, current: Arc::new(RwLock::new(config)) })
    }

    /// For the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.read().expect("no code panics under this lock").clone())
    }

    /// Looks at the files until told to stop. Where new ones are no good, the old ones stay and the error is told once.
    pub(super) async fn watch(self, stop: CancellationToken) {
        let mut every = tokio::time::interval(LOOK_TIME);
        let mut seen = self.opened.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = every.tick() => {}
            }
            let (files, before) = (self.files.clone(), seen.clone());
            let look = move || {
                let now = stamps(&files);
                (now != before).then(|| (now, load(&files)))
            };
            let loaded = match tokio::task::spawn_blocking(look).await {
                Ok(None) => continue,
                Ok(Some((now, loaded))) => {
                    seen = now;
                    loaded
                }
                Err(error) => {
                    error!(%error, "reading the certificates ended badly");
                    continue;
                }
            };
            match loaded {
                Ok(config) => {
                    *self.current.write().expect("no code panics under this lock") = config;
                    info!(certificate = %self.files.certificate.display(), "certificates read again");
                    metrics::counter!("mihari_tls_reloads_total", "result" => "ok").increment(1);
                }
                Err(error) => {
                    let reason = std::error::Error::source(&error).map(ToString::to_string);
                    error!(%error, reason, "the certificates have changed and cannot be used; the old ones stay");
                    metrics::counter!("mihari_tls_reloads_total", "result" => "failed").increment(1);
                }
            }
        }
    }
}

/// When each file was changed and how long it is; none where it is not there.
type Stamps = Vec<Option<(SystemTime, u64)>>;

fn stamps(files: &TlsFiles) -> Stamps {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [Some(&files.certificate), Some(&files.key), files.client_authorities.as_ref()].into_iter().flatten().map(stamp).collect()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    let all: Vec<_> = CertificateDer::pem_file_iter(path).map_err(fail)?.collect::<Result<_, _>>().map_err(fail)?;
    if all.is_empty() { Err(fail(rustls::pki_types::pem::Error::NoItemsFound)) } else { Ok(all) }
}

fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |source| TlsError::Unusable { path: files.certificate.clone(), source };
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(unusable)?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|source| TlsError::Authorities { path: path.clone(), source })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Read { path: files.key.clone(), source })?;
    builder.with_single_cert(certificates(&files.certificate)?, key).map(Arc::new).map_err(unusable)
}
