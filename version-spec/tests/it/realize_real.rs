//! Realizing a version by the real git and uv, with small repositories and wheels; and from a bundle.

use std::path::PathBuf;
use std::sync::Arc;

use version_spec::{
    Bundle, Cache, CancellationToken, Comfy, Home, Network, Outcome, Refresh, Spec,
};

use crate::git_repos::{Repo, git};
use crate::wheels::{Place, uv};

struct Real {
    place: Place,
    core: Repo,
    node: Repo,
}

impl Real {
    fn new() -> Self {
        let place = Place::new();
        place.wheel("alpha", "1.0", &[], "");
        place.wheel("beta", "1.0", &["alpha"], "");
        let (core, node) = (Repo::new(), Repo::new());
        for (repo, requirement) in [(&core, "alpha"), (&node, "beta")] {
            std::fs::write(repo.path().join("requirements.txt"), requirement).unwrap();
        }
        let script = "import beta, os, pathlib\npathlib.Path(os.environ['COMFYUI_PATH'], 'installed').write_text(beta.v)\n";
        std::fs::write(node.path().join("install.py"), script).unwrap();
        for repo in [&core, &node] {
            repo.run(&["add", "--all"]);
            repo.run(&["commit", "--quiet", "--message", "requirements"]);
        }
        Self { place, core, node }
    }

    fn spec(&self, id: &str) -> Spec {
        let text = format!(
            r#"{{"schema_version": 2, "version_id": "{id}", "comfy": {{"repo": "{}"}},
                "custom_nodes": [{{"repo": "{}", "name": "Node"}}]}}"#,
            self.core.plain().as_str(),
            self.node.plain().as_str()
        );
        Spec::parse(text.as_bytes()).unwrap().spec
    }
}

fn open(cache: &Cache, wheels: Option<PathBuf>, network: Network) -> Comfy {
    let mut builder = Comfy::builder(cache.clone(), cache.path().join("versions"))
        .with_git(Arc::new(git().unwrap()))
        .with_python(Arc::new(uv().unwrap()))
        .with_network(network);
    if let Some(wheels) = wheels {
        builder = builder.with_wheels_dir(wheels);
    }
    builder.build()
}

#[tokio::test]
async fn with_the_real_programs_and_then_from_a_bundle() {
    if git().is_none() || uv().is_none() {
        return;
    }
    let real = Real::new();
    let cancel = CancellationToken::new();
    let comfy = open(
        &Cache::new(real.place.path("cache")),
        Some(real.place.path("wheels")),
        Network::Allowed,
    );
    let spec = real.spec("v1");
    let lock = comfy
        .resolve(&spec, Refresh::No, &cancel)
        .await
        .unwrap()
        .lock;
    assert_eq!(lock.comfy.commit, real.core.head());
    let home = Home::new(real.place.path("home"));
    let done = comfy
        .realize(&spec, &lock, &home, &cancel)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(done.outcome, Outcome::Complete);
    assert_eq!(
        std::fs::read_to_string(home.path().join("installed")).unwrap(),
        "1.0"
    );
    let again = comfy
        .realize(&spec, &done.lock, &home, &cancel)
        .await
        .unwrap();
    assert_eq!(again.steps, 0);
    let found = comfy.environment(&home, &cancel).await.unwrap();
    assert_eq!(found.comfy, Some(lock.comfy.commit.to_string()));
    assert_eq!(found.packages.unwrap()["beta"], "1.0");

    let bundle = comfy
        .bundle(&spec, &done.lock, &real.place.path("bundle"), &cancel)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    for gone in [
        real.core.path(),
        real.node.path(),
        real.place.path("cache"),
        real.place.path("wheels"),
        real.place.path("home"),
    ] {
        std::fs::remove_dir_all(gone).unwrap();
    }
    assert_eq!(Bundle::open(&bundle.path).unwrap(), bundle);
    let comfy = open(&bundle.cache(), bundle.wheels_dir(), Network::Forbidden);
    let spec = comfy.spec(&bundle.version_id).unwrap().spec;
    let lock = comfy
        .resolve(&spec, Refresh::No, &cancel)
        .await
        .unwrap()
        .lock;
    let done = comfy
        .realize(&spec, &lock, &home, &cancel)
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!((done.outcome, done.missing.len()), (Outcome::Complete, 0));
    assert_eq!(
        std::fs::read_to_string(home.path().join("installed")).unwrap(),
        "1.0"
    );
}
