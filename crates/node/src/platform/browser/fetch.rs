//! HTTP for the core, by a function of the page: it is three lines of JavaScript there and would be kilobytes of bindings
//! here. A page that gives none fetches nothing.

use js_sys::{Function, Promise, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortController;

use crate::platform;

/// Fetches through the page.
#[derive(Debug)]
pub(crate) struct Fetcher(Option<SendWrapper<Function>>);

impl Fetcher {
    pub(crate) fn new(config: &mut platform::Config) -> Self {
        Self(config.fetch.take().map(SendWrapper::new))
    }

    /// The body of a `200` answer, or the reason why there is none. Dropping the future aborts the request.
    pub(crate) fn get(
        &self,
        url: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + 'static + use<> {
        let asked = self.start(url, limit);
        async move {
            let (promise, _guard) = asked?;
            let body = JsFuture::from(promise).await.map_err(reason)?;
            body.dyn_into::<Uint8Array>().map(|body| body.to_vec()).map_err(|_| "the page gave no bytes".to_owned())
        }
    }

    fn start(&self, url: &str, limit: usize) -> Result<(Promise, Guard), String> {
        let Some(fetch) = &self.0 else { return Err("this page fetches nothing".to_owned()) };
        let guard = Guard(AbortController::new().map_err(reason)?);
        let signal = guard.0.signal();
        let promise = fetch.call3(&JsValue::NULL, &url.into(), &(limit as f64).into(), &signal).map_err(reason)?;
        Ok((Promise::resolve(&promise), guard))
    }
}

/// Aborts what is still going on.
struct Guard(AbortController);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn reason(thrown: JsValue) -> String {
    thrown.as_string().unwrap_or_else(|| "the request failed".to_owned())
}
