//! Lists page by page, and refusals as gaps.
//!
//! A page is handed on before the next one is asked for, so that a cluster of any size is read in
//! the memory of what is kept of it. A list whose snapshot has expired on the server is begun anew, once.

use std::fmt::Debug;

use kube::api::{Api, ListParams};
use kube::{Error, Resource};
use serde::de::DeserializeOwned;

use super::read::Reader;
use crate::symptom::{Gap, GapReason, Right};

/// Objects asked for at a time.
pub(super) const PAGE: u32 = 500;

/// What a reader of pages wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next page.
    On,
    /// No more: the bound is reached.
    Enough(usize),
}

impl Reader<'_> {
    /// Hands each page to `take`; false when nothing could be read. `begin` is called before the
    /// first page, and again when the list has to be read anew.
    pub(super) async fn pages<K>(
        &mut self,
        api: &Api<K>,
        mut params: ListParams,
        what: String,
        right: Right,
        mut take: impl FnMut(Option<Vec<K>>) -> Flow,
    ) -> bool
    where
        K: Clone + DeserializeOwned + Debug + Resource,
    {
        params.limit = Some(PAGE);
        let (mut read, mut anew) = (false, false);
        take(None);
        loop {
            let page = match api.list(&params).await {
                Ok(page) => page,
                Err(Error::Api(status))
                    if status.code == 410 && !anew && params.continue_token.is_some() =>
                {
                    (anew, params.continue_token) = (true, None);
                    take(None);
                    continue;
                }
                Err(error) => {
                    let _: Option<()> = self.gap(what, &error, right);
                    // What came before a later page failed is still worth having.
                    return read;
                }
            };
            read = true;
            let more = page.metadata.continue_.filter(|token| !token.is_empty());
            if let Flow::Enough(bound) = take(Some(page.items)) {
                self.gaps.insert(Gap {
                    what,
                    why: GapReason::Bounded(bound),
                });
                return true;
            }
            match more {
                Some(token) => params.continue_token = Some(token),
                None => return true,
            }
        }
    }

    /// All objects of a list up to `bound`; none when it was refused.
    pub(super) async fn list<K>(
        &mut self,
        api: &Api<K>,
        params: ListParams,
        bound: usize,
        what: String,
        right: Right,
    ) -> Option<Vec<K>>
    where
        K: Clone + DeserializeOwned + Debug + Resource,
    {
        let mut items = Vec::new();
        let read = self
            .pages(api, params, what, right, |page| {
                match page {
                    None => items.clear(),
                    Some(page) => items.extend(page),
                }
                if items.len() > bound {
                    items.truncate(bound);
                    Flow::Enough(bound)
                } else {
                    Flow::On
                }
            })
            .await;
        read.then_some(items)
    }

    pub(super) fn gap<T>(&mut self, what: String, error: &Error, right: Right) -> Option<T> {
        self.gaps.insert(Gap {
            what,
            why: reason(error, right),
        });
        None
    }
}

pub(super) fn reason(error: &Error, right: Right) -> GapReason {
    match error {
        Error::Api(status) if status.code == 403 => GapReason::Forbidden(right),
        Error::Api(status) if status.code == 404 => GapReason::NotFound,
        Error::Api(status) if status.code == 401 => GapReason::Unauthorized,
        other => GapReason::Failed(plain(other)),
    }
}

pub(super) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// The client's own words with their sources, without the dump that its `Display` of a status adds.
pub(super) fn plain(error: &Error) -> String {
    if let Error::Api(status) = error {
        return format!(
            "the API server answered {}: {}",
            status.code, status.message
        );
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}
