//! The real `uv` on small packages that the tests make, without a network.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use version_spec::{
    AskerRole, CancellationToken, Error, ErrorKind, PythonEnv as _, PythonRequest, UvProgram,
    is_synced, lock_together, requirements_of,
};

use crate::wheels::{Indexes, Place, asked, module, uv};

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn names(installed: &[(String, String)]) -> String {
    let names: Vec<String> = installed
        .iter()
        .map(|(name, version)| format!("{name}={version}"))
        .collect();
    names.join(" ")
}

/// A program that is not there: whoever calls it fails.
fn nobody(place: &Place) -> UvProgram {
    UvProgram::new(place.path("no-such-uv"))
}

#[tokio::test]
async fn a_lock_is_exact_hashed_and_always_the_same() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("alpha", "1.0", &["beta>=1"], "");
    place.wheel("beta", "1.0", &[], "");
    place.wheel("beta", "1.5", &[], "");
    let request = place.request(&[("ComfyUI", &["alpha"]), ("Node", &["beta<2", "beta!=1.7"])]);
    let locked = uv.lock(&request, &never()).await.unwrap();
    let lines: Vec<&str> = locked.lines().collect();
    assert_eq!(lines.len(), 4, "{locked}");
    assert_eq!(lines[0], "alpha==1.0 \\");
    assert!(lines[1].starts_with("    --hash=sha256:"), "{locked}");
    assert_eq!(lines[2], "beta==1.5 \\");
    let mut turned = request.clone();
    turned.requirements.reverse();
    assert_eq!(uv.lock(&turned, &never()).await.unwrap(), locked);
    assert_eq!(turned.digest(), request.digest());
    let left: Vec<_> = place
        .path("cache")
        .read_dir()
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with(".lockstep")),
        "{left:?}"
    );
}

#[tokio::test]
async fn nothing_is_asked_for() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let request = place.request(&[("ComfyUI", &[])]);
    let locked = uv.lock(&request, &never()).await.unwrap();
    assert_eq!(locked, "");
    uv.sync(&place.venv(), &locked, &request, &never())
        .await
        .unwrap();
    assert!(is_synced(&place.venv(), &locked, &request));
    assert_eq!(uv.installed(&place.venv(), &never()).await.unwrap(), []);
}

#[tokio::test]
async fn an_environment_follows_its_lock() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("alpha", "1.0", &[], "");
    place.wheel("beta", "1.0", &[], "");
    place.wheel("beta", "2.0", &[], "");
    let (venv, cancel) = (place.venv(), never());
    let request = place.request(&[("ComfyUI", &["alpha", "beta<2"])]);
    let locked = uv.lock(&request, &cancel).await.unwrap();
    assert!(!is_synced(&venv, &locked, &request));
    let done = uv.sync(&venv, &locked, &request, &cancel).await.unwrap();
    assert_eq!((done.installed, done.removed), (2, 0));
    assert_eq!(
        names(&uv.installed(&venv, &cancel).await.unwrap()),
        "alpha=1.0 beta=1.0"
    );
    assert!(module(&venv, "beta").unwrap().contains("1.0"));

    // Again: without a program.
    let again = nobody(&place)
        .sync(&venv, &locked, &request, &cancel)
        .await
        .unwrap();
    assert_eq!((again.installed, again.removed), (0, 0));
    assert!(is_synced(&venv, &locked, &request));

    let request = place.request(&[("ComfyUI", &["beta"])]);
    let locked = uv.lock(&request, &cancel).await.unwrap();
    assert!(!is_synced(&venv, &locked, &request));
    let done = uv.sync(&venv, &locked, &request, &cancel).await.unwrap();
    assert_eq!((done.installed, done.removed), (1, 2));
    assert_eq!(
        names(&uv.installed(&venv, &cancel).await.unwrap()),
        "beta=2.0"
    );
    assert_eq!(module(&venv, "alpha"), None);
}

#[tokio::test]
async fn an_environment_is_made_anew_for_another_interpreter_or_if_its_own_is_gone() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("alpha", "1.0", &[], "");
    let (venv, cancel) = (place.venv(), never());
    let request = place.request(&[("ComfyUI", &["alpha"])]);
    let locked = uv.lock(&request, &cancel).await.unwrap();
    uv.sync(&venv, &locked, &request, &cancel).await.unwrap();
    let other = request.clone().with_python("3.99");
    assert!(!is_synced(&venv, &locked, &other));
    let error = uv.sync(&venv, &locked, &other, &cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Program, "{error:#}");
    assert!(error.to_string().contains("3.99"), "{error}");
    assert!(
        is_synced(&venv, &locked, &request),
        "the old one is kept if there is no other"
    );
    let beside = venv.parent().unwrap().read_dir().unwrap().count();
    assert_eq!(beside, 1, "nothing is left beside it");

    uv.sync(&venv, &locked, &request, &cancel).await.unwrap();
    std::fs::remove_file(venv.join("bin/python")).unwrap();
    assert!(!is_synced(&venv, &locked, &request));
    uv.sync(&venv, &locked, &request, &cancel).await.unwrap();
    assert!(is_synced(&venv, &locked, &request));
}

#[tokio::test]
async fn a_conflict_names_who_asks_for_what() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("numpy", "1.26", &[], "");
    place.wheel("numpy", "2.1", &[], "");
    let askers: &[(&str, &[&str])] = &[
        ("ComfyUI", &["numpy"]),
        ("KJNodes", &["numpy<2"]),
        ("rgthree", &["NumPy >= 2"]),
    ];
    let error = uv.lock(&place.request(askers), &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python);
    let text = error.to_string();
    assert!(
        text.contains(r#"KJNodes asks for "numpy<2", rgthree asks for "NumPy >= 2""#),
        "{text}"
    );
    assert!(format!("{error:#}").contains("unsatisfiable"), "{error:#}");
}

#[tokio::test]
async fn a_package_that_is_nowhere_is_named_with_its_asker() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("alpha", "1.0", &[], "");
    let error = uv
        .lock(
            &place.request(&[("ComfyUI", &["alpha"]), ("Node", &["gone>1"])]),
            &never(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python);
    assert!(
        error.to_string().contains("Node asks for \"gone>1\""),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("wheels"));

    let request = place.request(&[("ComfyUI", &["alpha"])]);
    let locked = uv.lock(&request, &never()).await.unwrap();
    std::fs::remove_file(place.wheel_path("alpha", "1.0")).unwrap();
    let mut elsewhere = request.clone();
    elsewhere.cache = place.path("other-cache");
    let error = uv
        .sync(&place.venv(), &locked, &elsewhere, &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python, "{error:#}");
    assert!(format!("{error:#}").contains("alpha"), "{error:#}");
}

#[tokio::test]
async fn what_cannot_be_understood_is_named_with_its_asker() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let error = uv
        .lock(
            &place.request(&[("ComfyUI", &[]), ("Node", &["alpha <<< 3"])]),
            &never(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python);
    assert!(
        format!("{error:#}").contains("the requirements of Node"),
        "{error:#}"
    );
}

#[tokio::test]
async fn torch_stays_what_the_base_has() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    for version in ["2.0", "2.1"] {
        place.wheel("torch", version, &[], "");
    }
    // The newest wants an older torch; the one before does not care.
    place.wheel("kit", "1.0", &["torch==2.0"], "");
    place.wheel("kit", "0.9", &["torch"], "");
    let request = place.request(&[("ComfyUI", &["torch"]), ("Node", &["kit"])]);
    let locked = lock_together(&uv, &request, &never()).await.unwrap();
    assert!(
        locked.contains("torch==2.1 ") && locked.contains("kit==0.9 "),
        "{locked}"
    );

    let askers: &[(&str, &[&str])] = &[
        ("ComfyUI", &["torch"]),
        ("Good", &["kit"]),
        ("Old", &["torch<2.1"]),
        ("Deep", &["kit==1.0"]),
    ];
    let request = place.request(askers);
    let error = lock_together(&uv, &request, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Torch, "{error:#}");
    let text = error.to_string();
    assert!(
        text.contains("Old would replace the base's torch 2.1 by 2.0 (it asks for \"torch<2.1\")"),
        "{text}"
    );
    assert!(
        text.contains("Deep would replace the base's torch 2.1 by 2.0 (a package"),
        "{text}"
    );
    assert!(!text.contains("Good"), "{text}");
    assert!(error.hint().unwrap().contains("allow_torch"));

    let allowed = request.with_torch_of("Old").with_torch_of("Deep");
    let locked = lock_together(&uv, &allowed, &never()).await.unwrap();
    assert!(locked.contains("torch==2.0 "), "{locked}");
}

#[tokio::test]
async fn a_wheel_with_another_hash_is_refused_and_the_environment_is_finished_later() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("alpha", "1.0", &[], "");
    let (venv, cancel) = (place.venv(), never());
    let request = place.request(&[("ComfyUI", &["alpha"])]);
    let locked = uv.lock(&request, &cancel).await.unwrap();
    place.wheel("alpha", "1.0", &[], "evil = True");
    let mut elsewhere = request.clone();
    elsewhere.cache = place.path("other-cache");
    let error = uv
        .sync(&venv, &locked, &elsewhere, &cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:#}");
    assert!(format!("{error:#}").contains("alpha"), "{error:#}");
    assert!(!is_synced(&venv, &locked, &request));
    assert_eq!(module(&venv, "alpha"), None);

    // Whatever an interrupted run left there is not taken over.
    let lib = venv
        .join("lib")
        .read_dir()
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    std::fs::write(lib.join("site-packages/half.py"), "half").unwrap();
    place.wheel("alpha", "1.0", &[], "");
    uv.sync(&venv, &locked, &elsewhere, &cancel).await.unwrap();
    assert!(is_synced(&venv, &locked, &request));
    assert_eq!(module(&venv, "half"), None);
    assert!(module(&venv, "alpha").is_some());
}

#[tokio::test]
async fn other_content_of_the_same_version_is_installed() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    place.wheel("alpha", "1.0", &[], "");
    let (venv, cancel) = (place.venv(), never());
    let request = place.request(&[("ComfyUI", &["alpha"])]);
    let first = uv.lock(&request, &cancel).await.unwrap();
    uv.sync(&venv, &first, &request, &cancel).await.unwrap();
    place.wheel("alpha", "1.0", &[], "fixed = True");
    let mut elsewhere = request.clone();
    elsewhere.cache = place.path("other-cache");
    let second = uv.lock(&elsewhere, &cancel).await.unwrap();
    assert_ne!(first, second);
    uv.sync(&venv, &second, &elsewhere, &cancel).await.unwrap();
    assert!(module(&venv, "alpha").unwrap().contains("fixed"));
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let venv = place.venv();
    std::fs::create_dir_all(&venv).unwrap();
    std::fs::write(venv.join("diary"), "dear diary").unwrap();
    let request = place.request(&[("ComfyUI", &[])]);
    let error = uv.sync(&venv, "", &request, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(
        std::fs::read_to_string(venv.join("diary")).unwrap(),
        "dear diary"
    );
}

#[tokio::test]
async fn requirements_of_checkouts_are_installed() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    for name in ["alpha", "beta", "gamma"] {
        place.wheel(name, "1.0", &[], "");
    }
    let node = place.path("node");
    std::fs::create_dir_all(node.join("more")).unwrap();
    std::fs::write(
        node.join("requirements.txt"),
        b"\xEF\xBB\xBFalpha # first\r\n-r more/r.txt\r\n--extra-index-url https://h/s\r\n",
    )
    .unwrap();
    std::fs::write(
        node.join("more/r.txt"),
        "beta >= 1.0, \\\n  <2 ; python_version > '3'\n",
    )
    .unwrap();
    let node = requirements_of(&node, "Node", AskerRole::Node)
        .unwrap()
        .unwrap();
    let project = place.path("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(
        project.join("pyproject.toml"),
        "[project]\nname='x'\ndependencies=['gamma']\n",
    )
    .unwrap();
    let project = requirements_of(&project, "Project", AskerRole::Node)
        .unwrap()
        .unwrap();
    let request = place
        .request(&[])
        .with_requirements(node)
        .with_requirements(project);
    let locked = lock_together(&uv, &request, &never()).await.unwrap();
    uv.sync(&place.venv(), &locked, &request, &never())
        .await
        .unwrap();
    let installed = uv.installed(&place.venv(), &never()).await.unwrap();
    assert_eq!(names(&installed), "alpha=1.0 beta=1.0 gamma=1.0");
}

/// A project that needs nothing to be built.
const BACKEND: &str = r#"
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "fromgit-3.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, "fromgit-3.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("fromgit.py", "v = 'git'\n")
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\nName: fromgit\nVersion: 3.0\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "/RECORD", "fromgit.py,,\n%s/METADATA,,\n%s/WHEEL,,\n%s/RECORD,,\n" % (info, info, info))
    return "fromgit-3.0-py3-none-any.whl"
"#;

#[cfg(unix)]
#[tokio::test]
async fn a_repository_is_pinned_by_its_commit() {
    let Some(uv) = uv() else { return };
    if crate::git_repos::git().is_none() {
        return;
    }
    let place = Place::new();
    place.wheel("alpha", "1.0", &[], "");
    let repo = crate::git_repos::Repo::empty();
    let project = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n[project]\nname = 'fromgit'\nversion = '3.0'\n";
    let commit = repo.commit(&[("pyproject.toml", project), ("backend.py", BACKEND)]);
    let line = format!("fromgit @ git+file://{}@main", repo.path().display());
    let mut request = place.request(&[("ComfyUI", &["alpha"]), ("Node", &[&line])]);
    // To uv, what is on this machine but in a repository is on the network.
    request.offline = false;
    let locked = uv.lock(&request, &never()).await.unwrap();
    assert!(locked.contains(&format!("@{commit}\n")), "{locked}");
    uv.sync(&place.venv(), &locked, &request, &never())
        .await
        .unwrap();
    let installed = uv.installed(&place.venv(), &never()).await.unwrap();
    assert_eq!(names(&installed), "alpha=1.0 fromgit=3.0");
    // The others are still held to their hashes.
    place.wheel("alpha", "1.0", &[], "evil = True");
    let mut elsewhere = request.clone();
    elsewhere.cache = place.path("other-cache");
    let error = uv
        .sync(&place.path("other-venv"), &locked, &elsewhere, &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error:#}");
}

#[tokio::test]
async fn without_a_network_and_without_wheels_it_is_said_so() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let request = asked(
        PythonRequest::new(place.path("cache")),
        &[("ComfyUI", &["alpha"])],
    );
    let error = uv
        .lock(&request.clone().without_network(), &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline, "{error:#}");
    let error = uv.lock(&request, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error:#}");
    // What was locked elsewhere cannot be installed either.
    let digest = version_spec::Sha256Digest::of(b"alpha");
    let locked = format!("alpha==1.0 --hash=sha256:{digest}\n");
    let error = uv
        .sync(&place.venv(), &locked, &request.without_network(), &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline, "{error:#}");
}

#[tokio::test]
async fn a_server_that_wants_credentials_is_an_auth_error_that_shows_none() {
    let Some(uv) = uv() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            if socket.read(&mut request).await.is_ok() {
                let _ = socket.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            }
        }
    });
    let place = Place::new();
    let uv = uv.with_variable(
        "UV_DEFAULT_INDEX",
        format!("http://user:hunter2@{address}/simple"),
    );
    let request = asked(
        PythonRequest::new(place.path("cache")),
        &[("ComfyUI", &["alpha"])],
    );
    let error = uv.lock(&request, &never()).await.unwrap_err();
    server.abort();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:#}");
    assert!(
        !format!("{error:#} {error:?} {uv:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_index_that_a_node_adds_is_one_of_several_and_what_is_here_is_not_fetched_again() {
    let Some(uv) = uv() else { return };
    let (main, extra) = (Place::new(), Place::new());
    main.wheel("alpha", "1.0", &[], "");
    main.wheel("alpha", "2.0", &[], "");
    extra.wheel("alpha", "1.0", &[], "");
    extra.wheel("special", "1.0", &[], "");
    let indexes = Indexes::of(&[("main", &main), ("extra", &extra)]).await;
    let uv = uv.with_variable("UV_DEFAULT_INDEX", indexes.url("main"));
    let line = format!("--extra-index-url {}", indexes.url("extra"));
    let askers: &[(&str, &[&str])] = &[("ComfyUI", &["alpha"]), ("Node", &[&line, "special"])];
    let request = asked(PythonRequest::new(main.path("cache")), askers);
    let locked = lock_together(&uv, &request, &never()).await.unwrap();
    assert!(
        locked.contains("alpha==2.0 ") && locked.contains("special==1.0 "),
        "{locked}"
    );
    assert!(!locked.contains("http"), "{locked}");
    uv.sync(&main.venv(), &locked, &request, &never())
        .await
        .unwrap();
    assert!(indexes.requests() > 0);

    let before = indexes.requests();
    let other = main.path("second-home/.venv");
    uv.sync(&other, &locked, &request.without_network(), &never())
        .await
        .unwrap();
    assert_eq!(
        names(&uv.installed(&other, &never()).await.unwrap()),
        "alpha=2.0 special=1.0"
    );
    assert_eq!(indexes.requests(), before);
}

#[tokio::test]
async fn a_missing_program_is_said_with_what_to_do() {
    let place = Place::new();
    let request = place.request(&[("ComfyUI", &["alpha"])]);
    let error = nobody(&place).lock(&request, &never()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Program);
    assert!(error.to_string().contains("no-such-uv"), "{error}");
    assert!(error.hint().unwrap().contains("install"));
    let error = UvProgram::find(place.path("wheels").as_os_str()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Program);
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_that_is_too_old_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    for (says, part) in [("uv 0.4.30", "0.5 is needed"), ("pip 24", "does not say")] {
        let program = place.path("wheels/uv");
        std::fs::write(&program, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let uv = UvProgram::find(place.path("wheels").as_os_str()).unwrap();
        let error = run_busy(&uv).await;
        assert_eq!(error.kind(), ErrorKind::Program, "{error:#}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

/// A program that was just written may still be open in a child that another test is starting (ETXTBSY).
#[cfg(unix)]
async fn run_busy(uv: &UvProgram) -> Error {
    loop {
        let error = uv.check(&never()).await.unwrap_err();
        if !format!("{error:#}").contains("Text file busy") {
            return error;
        }
    }
}

#[tokio::test]
async fn cancelled_before_it_starts_nothing_is_done() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let cancel = never();
    cancel.cancel();
    let request = place.request(&[("ComfyUI", &["alpha"])]);
    assert_eq!(
        uv.lock(&request, &cancel).await.unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    assert_eq!(
        lock_together(&uv, &request, &cancel)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Cancelled
    );
    assert_eq!(
        uv.sync(&place.venv(), "", &request, &cancel)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Cancelled
    );
    assert!(!is_synced(&place.venv(), "", &request));
}

async fn environment(uv: &UvProgram, place: &Place) -> std::path::PathBuf {
    let request = place.request(&[]);
    uv.sync(&place.venv(), "", &request, &never())
        .await
        .unwrap();
    place.venv()
}

#[tokio::test]
async fn scripts_run_in_the_environment() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let venv = environment(&uv, &place).await;
    let node = place.path("node");
    std::fs::create_dir(&node).unwrap();
    let script = node.join("install.py");
    let text = "import os, sys, helper\nprint(sys.prefix)\nprint(os.getcwd())\nprint(os.environ['COMFYUI_PATH'])\n";
    std::fs::write(&script, text).unwrap();
    std::fs::write(node.join("helper.py"), "").unwrap();
    let (log, variables) = (
        place.path("logs/install.log"),
        [("COMFYUI_PATH".to_owned(), "/home/comfy".to_owned())],
    );
    uv.run(&venv, &script, &node, &variables, &log, &never())
        .await
        .unwrap();
    let printed = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(Path::new(lines[0]).ends_with("home/.venv"), "{printed}");
    assert!(Path::new(lines[1]).ends_with("node"), "{printed}");
    assert_eq!(lines[2], "/home/comfy");
    assert!(!node.join("__pycache__").exists());

    let text = "import sys\nfor n in range(100): print('line', n)\nprint('https://user:hunter2@h/x', file=sys.stderr)\nsys.exit(3)\n";
    std::fs::write(&script, text).unwrap();
    let error = uv
        .run(&venv, &script, &node, &[], &log, &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python);
    let said = error.to_string();
    assert!(
        said.contains("code 3") && said.contains("line 99") && !said.contains("line 50"),
        "{said}"
    );
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(error.hint().unwrap().contains("install.log"));

    std::fs::write(&script, "import runpy\nrunpy.run_module('pip')\n").unwrap();
    let error = uv
        .run(&venv, &script, &node, &[], &log, &never())
        .await
        .unwrap_err();
    assert!(
        error.hint().unwrap().contains("python_packages"),
        "{error:#}"
    );

    let error = uv
        .run(&place.path("nothing"), &script, &node, &[], &log, &never())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Python, "{error:#}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_script_and_what_it_started_is_killed_when_it_is_cancelled() {
    let Some(uv) = uv() else { return };
    let place = Place::new();
    let venv = environment(&uv, &place).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let child = format!(
        "import socket, time; s = socket.create_connection(('127.0.0.1', {port})); time.sleep(600)"
    );
    let script = place.path("install.py");
    std::fs::write(
        &script,
        format!("import subprocess, sys\nsubprocess.run([sys.executable, '-c', \"{child}\"])\n"),
    )
    .unwrap();
    let (log, cancel, place) = (place.path("log"), never(), Arc::new(place));
    let running = tokio::spawn({
        let (cancel, place) = (cancel.clone(), Arc::clone(&place));
        async move {
            uv.run(&venv, &script, &place.path("wheels"), &[], &log, &cancel)
                .await
        }
    });
    let (mut socket, _) = listener.accept().await.unwrap();
    cancel.cancel();
    assert_eq!(
        running.await.unwrap().unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    // The connection ends when the child does.
    let mut byte = [0];
    assert!(matches!(socket.read(&mut byte).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_folder_that_is_no_environment_is_said_so() {
    let place = Place::new();
    for folder in ["wheels", "gone"] {
        let error = nobody(&place)
            .installed(&place.path(folder), &never())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Python);
        assert!(error.to_string().contains(folder), "{error}");
    }
}
