//! The page at `/`. It is rendered here; a small script fetches it again after each change.
//!
//! maud escapes all text, and the Content-Security-Policy allows no scripts or styles except the
//! page's own files.

mod compose;
mod conversation;
mod deliveries;
mod forms;
mod layout;
mod live;
mod meaning;
mod parts;
mod settings;
mod sidebar;
mod view;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Redirect},
    routing::{get, post},
};
use http::{HeaderName, HeaderValue, header};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::{api, app::App};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router(app: App) -> Router {
    // A rejected form is shown at this address, so the script, and a browser that opens the address
    // again, send a GET request to it.
    let mail = post(forms::mail).get(async || Redirect::to("/?view=compose"));
    let mail = mail.layer(DefaultBodyLimit::max(api::FILES_LIMIT));
    let set = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    Router::new()
        .route("/", get(view::show))
        .route("/events", get(live::events))
        .route("/page/mail", mail)
        .route("/page/mails/{id}/again", post(forms::send_again))
        .route("/page/deliveries/{id}/again", post(forms::deliver_again))
        .route("/page/files/{mail}/{place}", get(forms::file))
        .route("/page/account/{action}", post(forms::account))
        .route("/page/inboxes", post(forms::new_inbox))
        .route("/page/inboxes/{id}/{action}", post(forms::inbox))
        .route("/page/pods/{id}/{action}", post(forms::pod))
        .route("/page/faults", post(forms::faults))
        .route("/page/attachments/expire", post(forms::expire))
        .layer(middleware::from_fn_with_state(app.clone(), api::saved))
        .route("/assets/style.css", get(style))
        .route("/assets/page.js", get(script))
        .route("/assets/icon.svg", get(icon))
        .layer(set(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
        .layer(set(header::CACHE_CONTROL, "no-store"))
        .layer(set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"))
        .layer(set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .with_state(app)
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css"))
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page.js"))
}

async fn icon() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "image/svg+xml")], include_str!("icon.svg"))
}
