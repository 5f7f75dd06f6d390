//! Web hooks: a message as one POST, signed when the receiver shares a secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ansai_model::notify::Webhook;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use hyper::Method;
use sha2::Sha256;

use super::{
    http::{HttpClient, HyperClient, Request, Response},
    payload,
    render::{RenderOptions, one_line},
};
use crate::{
    outbox::{DeliverError, Message},
    secrets::Resolver,
};

/// The header that holds `sha256=` and the HMAC-SHA256 of `timestamp.body` in hexadecimal.
pub const SIGNATURE_HEADER: &str = "x-ansai-signature";
/// The header that holds the seconds since 1970 at which the body was signed, so that a repeated one can be refused.
pub const TIMESTAMP_HEADER: &str = "x-ansai-timestamp";

const TIMEOUT: Duration = Duration::from_secs(20);

/// Posts a message.
pub(super) async fn send<H: HttpClient>(
    webhook: &Webhook,
    message: &Message,
    render: &RenderOptions,
    secrets: &Resolver,
    http: &H,
) -> Result<(), DeliverError> {
    let url = secrets.url(&webhook.url).await?;
    let body = payload::of(webhook.format, message, render).to_string();
    let mut headers: Vec<(String, String)> =
        webhook.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.push(("content-type".to_owned(), "application/json".to_owned()));
    if let Some(reference) = &webhook.secret {
        let secret = secrets.fetch(reference).await?;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        headers.push((TIMESTAMP_HEADER.to_owned(), timestamp.to_string()));
        headers.push((SIGNATURE_HEADER.to_owned(), signature(secret.expose().as_bytes(), timestamp, body.as_bytes())));
    }
    let request = Request {
        method: Method::POST,
        url: url.expose().to_owned(),
        headers,
        body: Bytes::from(body),
        timeout: TIMEOUT,
    };
    match http.send(request).await {
        Ok(answer) => judge(&answer),
        Err(why) => Err(DeliverError::Later(why)),
    }
}

/// Connects to the server of a hook, with TLS where the address has it, and asks nothing of it.
pub(super) async fn reach(webhook: &Webhook, secrets: &Resolver, http: &HyperClient) -> Result<(), DeliverError> {
    let url = secrets.url(&webhook.url).await?;
    if let Some(reference) = &webhook.secret {
        secrets.fetch(reference).await?;
    }
    http.reach(url.expose()).await.map_err(DeliverError::Later)
}

/// What is in [`SIGNATURE_HEADER`] for a body signed at a time.
#[must_use]
pub fn signature(secret: &[u8], timestamp: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length, so this cannot fail");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    digest.iter().fold("sha256=".to_owned(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

fn judge(answer: &Response) -> Result<(), DeliverError> {
    let why = || format!("HTTP {}: {}", answer.status, one_line(&answer.body, 200));
    match answer.status {
        200..=299 => Ok(()),
        // Not now: too many, too early, too slow.
        408 | 425 | 429 => Err(DeliverError::Later(why())),
        400..=499 => Err(DeliverError::Never(why())),
        _ => Err(DeliverError::Later(why())),
    }
}

#[cfg(test)]
mod tests;
