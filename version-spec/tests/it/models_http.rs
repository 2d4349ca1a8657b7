//! Over HTTP: who gets a token, and what statuses mean.

use std::sync::Arc;

use downloader::{HttpConfig, HttpDownloader};
use durable_fs::Disk;
use testkit::{Reply, ScriptedServer};
use url::Url;
use version_spec::{
    CancellationToken, Endpoints, ErrorKind, ModelStore, ModelsDir, Sha256Digest, Tokens,
    WantedModel,
};

use crate::models_world::{entry, impatient};

const WEIGHTS: &[u8] = b"0123456789";

fn tokens() -> Tokens {
    Tokens::from_lookup(|name| Some(format!("s3cret-{name}")))
}

fn store(root: &std::path::Path, endpoints: Endpoints) -> ModelStore {
    let config = tokens().configure(HttpConfig::new(), &endpoints);
    assert!(!format!("{config:?}").contains("s3cret"));
    let http = Arc::new(HttpDownloader::new(config).unwrap());
    let store = ModelStore::new(Disk::real(), ModelsDir::new(root), http, tokens())
        .with_endpoints(endpoints);
    assert!(!format!("{store:?}").contains("s3cret"));
    impatient(store)
}

fn base(server: &ScriptedServer) -> Url {
    server.url("/").parse().unwrap()
}

#[tokio::test]
async fn a_token_goes_to_its_service_and_nowhere_else() {
    let content_network = ScriptedServer::start([Reply::ok(WEIGHTS), Reply::ok(WEIGHTS)]).await;
    let hub = ScriptedServer::start([Reply::redirect(&content_network.url("/signed"))]).await;
    let civitai = ScriptedServer::start([
        Reply::ok(r#"{"modelVersions":[{"id":34}]}"#),
        Reply::redirect(&content_network.url("/signed")),
    ])
    .await;
    let other = ScriptedServer::start([Reply::ok(WEIGHTS)]).await;
    let folder = tempfile::tempdir().unwrap();
    let endpoints = Endpoints::new()
        .with_hugging_face(&base(&hub))
        .with_civitai(&base(&civitai))
        .with_s3(&base(&other));
    let store = store(folder.path(), endpoints);
    for (index, source) in [
        "hf://o/r@v1/p/x y.bin",
        "civitai://models/12",
        "s3://bucket/x.bin",
    ]
    .into_iter()
    .enumerate()
    {
        let entry = entry(source, &format!("loras/{index}.bin"));
        let locked = store
            .ensure(
                &WantedModel::new(index, &entry),
                &(),
                &CancellationToken::new(),
            )
            .await
            .unwrap();
        assert_eq!(locked.sha256, Sha256Digest::of(WEIGHTS));
        assert!(
            !format!("{locked:?}").contains("signed"),
            "not where a redirect leads"
        );
    }
    assert_eq!(
        hub.requests()[0].header("authorization"),
        Some("Bearer s3cret-HF_TOKEN")
    );
    let targets: Vec<_> = hub
        .requests()
        .iter()
        .map(|request| request.target.clone())
        .collect();
    assert_eq!(targets, ["/o/r/resolve/v1/p/x%20y.bin"]);
    for request in civitai.requests() {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer s3cret-CIVITAI_TOKEN")
        );
    }
    assert_eq!(
        (civitai.requests().len(), content_network.requests().len()),
        (2, 2)
    );
    for request in content_network
        .requests()
        .into_iter()
        .chain(other.requests())
    {
        assert!(!String::from_utf8_lossy(&request.raw).contains("s3cret"));
    }
    for entry in walk(folder.path()) {
        assert!(!String::from_utf8_lossy(&std::fs::read(entry).unwrap()).contains("s3cret"));
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[tokio::test]
async fn over_plain_http_a_token_goes_only_to_this_machine() {
    let far = Endpoints::new().with_hugging_face(&"http://hub.example/".parse().unwrap());
    let near = Endpoints::new().with_hugging_face(&"http://127.0.0.1:1/".parse().unwrap());
    let bearers = |endpoints| {
        format!("{:?}", tokens().configure(HttpConfig::new(), &endpoints))
            .matches("Bearer")
            .count()
    };
    assert_eq!(
        (bearers(far), bearers(near), bearers(Endpoints::new())),
        (1, 2, 2)
    );
}

#[tokio::test]
async fn statuses_become_kinds_with_advice() {
    for (status, kind, says) in [
        ("401 Unauthorized", ErrorKind::Auth, "HF_TOKEN"),
        ("403 Forbidden", ErrorKind::Auth, "accept its licence at"),
        ("404 Not Found", ErrorKind::NotFound, "HF_TOKEN"),
        ("410 Gone", ErrorKind::NotFound, "check its name"),
        ("500 Internal Server Error", ErrorKind::Network, "later"),
    ] {
        let hub = ScriptedServer::start([Reply::status(status), Reply::status(status)]).await;
        let folder = tempfile::tempdir().unwrap();
        let store = store(
            folder.path(),
            Endpoints::new().with_hugging_face(&base(&hub)),
        );
        let entry = entry("hf://o/r/x.bin", "loras/x.bin");
        let error = store
            .ensure(&WantedModel::new(3, &entry), &(), &CancellationToken::new())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.pointer()),
            (kind, Some("/models/3/source")),
            "{status}"
        );
        assert!(error.hint().unwrap().contains(says), "{error:?}");
        assert!(!format!("{error:?} {error:#}").contains("s3cret"));
    }
}

#[tokio::test]
async fn a_short_body_is_resumed() {
    let hub = ScriptedServer::start([
        Reply::ok(WEIGHTS).etag("\"one\"").cut_after(4),
        Reply::partial(4, WEIGHTS).etag("\"one\""),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let store = store(
        folder.path(),
        Endpoints::new().with_hugging_face(&base(&hub)),
    );
    let entry = entry("hf://o/r/x.bin", "loras/x.bin");
    let locked = store
        .ensure(&WantedModel::new(3, &entry), &(), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(
        (locked.sha256, locked.etag.as_deref()),
        (Sha256Digest::of(WEIGHTS), Some("\"one\""))
    );
    assert_eq!(hub.requests()[1].header("range"), Some("bytes=4-"));
}
