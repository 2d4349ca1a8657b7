//! `http://` and `https://` URLs, by reqwest.

mod answer;
mod body;
mod client;
mod config;
mod failure;
mod retry_after;
mod tls;

pub use client::HttpDownloader;
pub use config::HttpConfig;
