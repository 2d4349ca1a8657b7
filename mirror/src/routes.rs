use std::time::Instant;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::RANGE;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use manifest_core::{ReleasePath, ReleaseVersion, Sha256Digest, ToolId};

use crate::response::{Asked, error_response, file_response, manifest_response};
use crate::{Result, Store};

/// The most of a request's path that an answer repeats.
const SHOWN_LENGTH: usize = 200;

/// The mirror's routes over a store, for programs that bring their own server.
///
/// [`Server`](crate::Server) adds what a server on a network needs: time limits, a bound on
/// connections, draining.
pub fn router(store: Store) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route(
            "/api/v1/tools/{tool_id}/{version}/manifest.json",
            get(manifest),
        )
        .route("/api/v1/tools/{tool_id}/{version}/files/{*path}", get(file))
        .route("/api/v1/contents/sha256/{digest}", get(content))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(log))
        .with_state(store)
}

/// One line for each request, when its answer begins.
async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let range = request.headers().get(RANGE).cloned();
    let started = Instant::now();
    let response = next.run(request).await;
    let length = response.body().size_hint().exact();
    let microseconds = started.elapsed().as_micros();
    tracing::info!(%method, path, status = response.status().as_u16(), ?range, length, microseconds);
    response
}

async fn manifest(
    State(store): State<Store>,
    names: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let parsed = decoded(names).and_then(|(tool, version)| parse_release(&tool, &version));
    let (tool, version) = match parsed {
        Ok(names) => names,
        Err(why) => return error_response(StatusCode::BAD_REQUEST, &why),
    };
    answer(request, move |asked| {
        Ok(match store.manifest(&tool, &version)? {
            Some(stored) => manifest_response(asked, &stored),
            None => no_such_release(&tool, &version),
        })
    })
    .await
}

async fn file(
    State(store): State<Store>,
    names: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Response {
    let parsed = decoded(names).and_then(|(tool, version, path)| {
        let (tool, version) = parse_release(&tool, &version)?;
        let path = path
            .parse::<ReleasePath>()
            .map_err(|error| error.to_string())?;
        Ok((tool, version, path))
    });
    let (tool, version, path) = match parsed {
        Ok(names) => names,
        Err(why) => return error_response(StatusCode::BAD_REQUEST, &why),
    };
    answer(request, move |asked| {
        Ok(match store.open_file(&tool, &version, &path)? {
            Some(stored) => file_response(asked, &path, stored)?,
            None if store.manifest(&tool, &version)?.is_none() => no_such_release(&tool, &version),
            None => error_response(
                StatusCode::NOT_FOUND,
                &format!("{tool} {version} has no file {path}"),
            ),
        })
    })
    .await
}

/// A content by its digest, for who knows it from elsewhere: a lock file, another manifest.
async fn content(
    State(store): State<Store>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    // The digest in its only form is a path, too, without an ending that would say a type.
    let parsed = decoded(name).and_then(|name| {
        let digest: Sha256Digest = name.parse().map_err(refused)?;
        let path: ReleasePath = name.parse().map_err(refused)?;
        Ok((digest, path))
    });
    let (digest, path) = match parsed {
        Ok(names) => names,
        Err(why) => return error_response(StatusCode::BAD_REQUEST, &why),
    };
    answer(request, move |asked| {
        Ok(match store.open_content(digest)? {
            Some(stored) => file_response(asked, &path, stored)?,
            None => error_response(
                StatusCode::NOT_FOUND,
                &format!("this mirror has no content {digest}"),
            ),
        })
    })
    .await
}

/// Finds the answer on a blocking thread. What the store says about itself goes to the log, not
/// to the client.
async fn answer(
    request: Request,
    find: impl FnOnce(&Asked) -> Result<Response> + Send + 'static,
) -> Response {
    let url_path = shown(request.uri());
    let (parts, _) = request.into_parts();
    let asked = Asked {
        method: parts.method,
        headers: parts.headers,
    };
    let found = tokio::task::spawn_blocking(move || find(&asked)).await;
    match found {
        Ok(Ok(response)) => return response,
        Ok(Err(error)) => {
            tracing::error!(kind = ?error.kind(), error = format_args!("{error:#}"), path = url_path, "a request failed");
        }
        Err(error) => tracing::error!(%error, path = url_path, "a request failed"),
    }
    let why = format!(
        "{url_path} cannot be served: the mirror's copy is damaged or cannot be read; see its log"
    );
    error_response(StatusCode::INTERNAL_SERVER_ERROR, &why)
}

async fn no_such_route(uri: Uri) -> Response {
    error_response(
        StatusCode::NOT_FOUND,
        &format!("this mirror has nothing at {}", shown(&uri)),
    )
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let why = format!(
        "{} can be read by GET and HEAD only, not by {method}",
        shown(&uri)
    );
    error_response(StatusCode::METHOD_NOT_ALLOWED, &why)
}

fn no_such_release(tool: &ToolId, version: &ReleaseVersion) -> Response {
    error_response(
        StatusCode::NOT_FOUND,
        &format!("{tool} {version} is not published in this mirror"),
    )
}

/// The names in the URL, percent-decoded exactly once; or what is wrong with them.
fn decoded<T>(names: Result<Path<T>, PathRejection>) -> Result<T, String> {
    names
        .map(|Path(names)| names)
        .map_err(|rejection| rejection.body_text())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn refused(error: manifest_core::Error) -> String {
    error.to_string()
}

fn parse_release(tool: &str, version: &str) -> Result<(ToolId, ReleaseVersion), String> {
    Ok((
        tool.parse().map_err(refused)?,
        version.parse().map_err(refused)?,
    ))
}

/// The path as it was sent, cut where it is too long to repeat.
fn shown(uri: &Uri) -> String {
    uri.path().chars().take(SHOWN_LENGTH).collect()
}
