//! What the page learns when the node ends by a fault of its own.
//!
//! A panic aborts the instance; nothing in it may be called again. The hook tells the page before that.

use std::{cell::RefCell, panic};

use js_sys::Function;
use wasm_bindgen::prelude::*;

thread_local! {
    static CALLBACK: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Calls `callback` with a message if the node crashes.
#[wasm_bindgen(js_name = onCrash)]
pub fn on_crash(callback: Function) {
    CALLBACK.with(|slot| slot.replace(Some(callback)));
    panic::set_hook(Box::new(|info| {
        let message = JsValue::from_str(&info.to_string());
        CALLBACK.with(|slot| {
            if let Ok(Some(callback)) = slot.try_borrow().as_deref() {
                // A callback that throws has nobody left to tell.
                let _ = callback.call1(&JsValue::NULL, &message);
            }
        });
    }));
}
