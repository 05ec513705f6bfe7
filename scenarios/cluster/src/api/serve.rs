//! From a request to an answer: path, rights, body, verb, form.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use http::request::Parts;
use serde_json::{Value, json};

use super::access::Attempt;
use super::body::{self, Form};
use super::fields::{self, Author};
use super::patch::PatchKind;
use super::query::Query;
use super::route::{Route, Target};
use super::verbs::Part;
use super::{
    Access, Api, DeleteOptions, FieldSelector, LabelSelector, WriteOptions, discovery, eventsv1,
    eviction, logs, openapi, patch, respond, scale, typed, watching,
};
use crate::store::{ApiError, FieldCause, Kind};

/// The media type of a stored continue token is our own business; it starts so.
const TOKEN: &str = "v1";

pub(super) fn router(api: Api) -> Router {
    Router::new().fallback(handle).with_state(Arc::new(api))
}

async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let failures = api.store().failures().clone();
    let task = format!("the API server at {} {}", parts.method, parts.uri.path());
    match failures.watch(&task, answer(&api, &parts, body)).await {
        Some(Ok(response)) => response,
        Some(Err(error)) => respond::error(&error),
        // As the real server recovers: this request fails, the others go on.
        None => respond::error(&ApiError::plain(
            500,
            "InternalError",
            "This request caused apiserver to panic. Look in the logs for details.",
        )),
    }
}

async fn answer(api: &Api, parts: &Parts, body: axum::body::Body) -> Result<Response, ApiError> {
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    match Route::parse(parts.uri.path()) {
        Route::Version => Ok(respond::json_body(200, &discovery::version(api))),
        Route::Health => Ok(respond::typed_body(200, "text/plain; charset=utf-8", "ok")),
        Route::Discovery(path) => Ok(discovery::answer(&path, &parts.headers)),
        Route::OpenApi(path) => Ok(openapi::answer(api, &path, &parts.headers)),
        Route::Unknown => Ok(respond::no_page()),
        Route::Review(plural) => {
            if parts.method != Method::POST {
                return Err(ApiError::method_not_allowed());
            }
            let body = body::read(body).await?;
            let review = body::decode(&parts.headers, &body)?;
            let answer = match plural.as_str() {
                "selfsubjectaccessreviews" => api.access.review(review)?,
                "selfsubjectrulesreviews" => Access::rules(),
                "selfsubjectreviews" => api.access.whoami(),
                _ => return Ok(respond::no_page()),
            };
            Ok(respond::json_body(201, &answer))
        }
        Route::Objects(target) => {
            let form = body::negotiate(&parts.headers)?;
            let call = Call {
                api,
                parts,
                target,
                query,
                form,
            };
            call.answer(body).await
        }
    }
}

struct Call<'a> {
    api: &'a Api,
    parts: &'a Parts,
    target: Target,
    query: Query,
    form: Form,
}

impl Call<'_> {
    async fn answer(&self, body: axum::body::Body) -> Result<Response, ApiError> {
        let target = &self.target;
        let one = target.name.is_some();
        let verb = match (&self.parts.method, one) {
            (&Method::GET | &Method::HEAD, _) if self.query.watch => "watch",
            (&Method::GET | &Method::HEAD, true) => "get",
            (&Method::GET | &Method::HEAD, false) => "list",
            (&Method::POST, false) => "create",
            (&Method::POST, true) if target.subresource.is_some() => "create",
            (&Method::PUT, true) => "update",
            (&Method::PATCH, true) => "patch",
            (&Method::DELETE, true) => "delete",
            (&Method::DELETE, false) => "deletecollection",
            _ => return Err(ApiError::method_not_allowed()),
        };
        self.api.access.check(&Attempt {
            verb: verb.into(),
            group: target.group().into(),
            resource: target.kind.plural().into(),
            subresource: target.subresource.clone().unwrap_or_default(),
            namespace: target.namespace().into(),
            name: target.name.clone().unwrap_or_default(),
        })?;
        match (verb, target.subresource.as_deref()) {
            ("watch", None) => {
                let (labels, fields) = self.selectors()?;
                watching::start(self.api, target, self.form, &self.query, labels, fields)
            }
            ("list", None) => self.list(),
            ("get", None) => self.get(),
            ("get", Some("status")) if target.kind.wire().has_status => self.get(),
            ("get", Some("log")) if target.kind == Kind::Pod => self.log(),
            ("get", Some("scale")) if scale::is_scalable(target.kind) => {
                let object = self.current()?;
                Ok(respond::json_body(200, &scale::of(&object)))
            }
            ("create", None) => {
                let body = body::read(body).await?;
                self.create(&body)
            }
            ("create", Some("eviction")) if target.kind == Kind::Pod => {
                let body = body::read(body).await?;
                self.evict(&body)
            }
            ("update" | "patch", None) => {
                let body = body::read(body).await?;
                self.write(verb, Part::Main, &body)
            }
            ("update" | "patch", Some("status")) if target.kind.wire().has_status => {
                let body = body::read(body).await?;
                self.write(verb, Part::Status, &body)
            }
            ("update" | "patch", Some("scale")) if scale::is_scalable(target.kind) => {
                let body = body::read(body).await?;
                self.set_scale(verb, &body)
            }
            ("update", Some("finalize")) if target.kind == Kind::Namespace => {
                let body = body::read(body).await?;
                self.write(verb, Part::Main, &body)
            }
            ("delete" | "deletecollection", None) => {
                let body = body::read(body).await?;
                self.delete(&body)
            }
            (_, Some("exec" | "attach" | "portforward")) if target.kind == Kind::Pod => {
                Err(ApiError::bad_request("Upgrade request required"))
            }
            _ => Err(ApiError::no_resource()),
        }
    }

    fn options(&self) -> WriteOptions {
        WriteOptions {
            dry_run: self.query.dry_run,
        }
    }

    fn selectors(&self) -> Result<(LabelSelector, FieldSelector), ApiError> {
        Ok((
            LabelSelector::parse(&self.query.label_selector)?,
            FieldSelector::parse(self.target.kind, &self.query.field_selector)?,
        ))
    }

    fn current(&self) -> Result<Value, ApiError> {
        let target = &self.target;
        self.api
            .get(target.kind, target.namespace(), target.name()?)
    }

    fn one(&self, status: u16, object: Value) -> Response {
        let include = &self.query.include_object;
        let shown = respond::shape(self.api, &self.target, self.form, include, object);
        respond::json_body(status, &shown)
    }

    fn get(&self) -> Result<Response, ApiError> {
        Ok(self.one(200, self.current()?))
    }

    fn log(&self) -> Result<Response, ApiError> {
        Ok(
            match logs::read(&self.current()?, &self.query, self.api.store().logs())? {
                logs::Log::Text(text) => respond::typed_body(200, "text/plain", text),
                logs::Log::NoContent => respond::typed_body(204, "text/plain", ""),
            },
        )
    }

    fn list(&self) -> Result<Response, ApiError> {
        let (labels, fields) = self.selectors()?;
        let target = &self.target;
        let kind = target.kind;
        self.check_list_version()?;
        let (mut objects, version) =
            self.api
                .list(kind, target.namespace.as_deref(), &labels, &fields);
        let mut meta = json!({ "resourceVersion": version.to_string() });
        if !self.query.continue_token.is_empty() {
            let (since, after) = read_token(&self.query.continue_token)?;
            if since < self.api.store().oldest(kind) {
                return Err(ApiError::expired(
                    "The provided continue parameter is too old to display a consistent list \
                     result. You can start a new list without the continue parameter.",
                ));
            }
            objects.retain(|object| place(object) > after);
            meta = json!({ "resourceVersion": since.to_string() });
        }
        if let Some(limit) = self.query.limit.filter(|limit| *limit < objects.len()) {
            let left = objects.len() - limit;
            objects.truncate(limit);
            let since = meta.get("resourceVersion").and_then(Value::as_str);
            let since = since.unwrap_or_default().to_owned();
            if let (Some(last), Some(meta)) = (objects.last(), meta.as_object_mut()) {
                meta.insert("continue".into(), write_token(&since, &place(last)).into());
                if labels.is_empty() && self.query.field_selector.is_empty() {
                    meta.insert("remainingItemCount".into(), left.into());
                }
            }
        }
        let include = &self.query.include_object;
        let list = respond::shape_list(self.api, target, self.form, include, &meta, objects);
        Ok(respond::json_body(200, &list))
    }

    /// A list is always the newest state, so only versions that cannot be met are refused.
    fn check_list_version(&self) -> Result<(), ApiError> {
        let refuse = |why: &str| {
            let cause = FieldCause::forbidden("resourceVersionMatch", why);
            ApiError::invalid_subject("ListOptions.meta.k8s.io", "", &[cause])
        };
        let text = self.query.resource_version.as_str();
        if text.is_empty() {
            return if self.query.version_match.is_empty() {
                Ok(())
            } else {
                Err(refuse(
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ))
            };
        }
        let wanted = watching::version(text)?;
        let current = self.api.store().version();
        if wanted > current {
            return Err(watching::too_large(wanted, current));
        }
        match self.query.version_match.as_str() {
            "Exact" if wanted == 0 => Err(refuse(
                "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
            )),
            "Exact" if wanted < current => Err(ApiError::expired(format!(
                "The resourceVersion for the provided list is too old: {wanted}"
            ))),
            "" | "NotOlderThan" | "Exact" => Ok(()),
            _ => Err(refuse("supported values: \"Exact\", \"NotOlderThan\"")),
        }
    }

    /// Reads an object of the target's kind, in either encoding, and checks its fields.
    fn checked(&self, mut object: Value) -> Result<(Value, Vec<String>), ApiError> {
        if self.target.as_events_v1 {
            check_events_v1(&object)?;
            eventsv1::to_stored(&mut object);
        }
        let strict = self.query.field_validation == "Strict";
        let mut warnings = typed::check(self.target.kind, &mut object, strict)?;
        if self.query.field_validation != "Warn" {
            warnings.clear();
        }
        Ok((object, warnings))
    }

    fn create(&self, body: &[u8]) -> Result<Response, ApiError> {
        let target = &self.target;
        if target.kind.namespaced() && target.namespace.is_none() {
            return Err(ApiError::method_not_allowed());
        }
        let object = body::decode(&self.parts.headers, body)?;
        let (object, warnings) = self.checked(object)?;
        let author = self.author();
        let (kind, namespace) = (target.kind, target.namespace());
        let made = self
            .api
            .create_as(kind, namespace, object, self.options(), |object| {
                fields::update(&Value::Null, object, &author);
            })?;
        Ok(respond::with_warnings(self.one(201, made), &warnings))
    }

    /// Whom the fields of a write belong to: the manager that is named, else the program.
    fn author(&self) -> Author {
        let agent = self.parts.headers.get(http::header::USER_AGENT);
        let agent = agent
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default();
        let program = agent.split('/').next().unwrap_or_default();
        let named = [self.query.field_manager.as_str(), program, "unknown"];
        let manager = named.into_iter().find(|name| !name.is_empty());
        Author {
            manager: manager.unwrap_or_default().chars().take(128).collect(),
            api_version: self.target.api_version(),
            subresource: self.target.subresource.clone().unwrap_or_default(),
            now: self.api.store().clock().seconds(),
        }
    }

    fn write(&self, verb: &str, part: Part, body: &[u8]) -> Result<Response, ApiError> {
        let target = &self.target;
        let (name, headers) = (target.name()?, &self.parts.headers);
        let place = (target.namespace(), name);
        let author = self.author();
        let own = |old: &Value, new: &mut Value| fields::update(old, new, &author);
        if verb == "update" {
            let object = body::decode(headers, body)?;
            let (object, warnings) = self.checked(object)?;
            let change = |current: &mut Value| {
                *current = object;
                Ok(())
            };
            let written =
                self.api
                    .write_as(target.kind, place, part, self.options(), change, own)?;
            return Ok(respond::with_warnings(self.one(200, written), &warnings));
        }
        let kind = PatchKind::from_media_type(&body::media_type(headers))
            .ok_or_else(|| ApiError::unsupported_media_type(&PatchKind::ACCEPTED))?;
        if kind == PatchKind::Apply {
            return self.apply(part, &body::yaml(body)?, &author);
        }
        let patch = body::json(body)?;
        let mut warnings = Vec::new();
        let change = |current: &mut Value| {
            let version = current.pointer("/metadata/resourceVersion").cloned();
            let mut wanted = respond::encode(target, current.clone());
            patch::apply(kind, &mut wanted, &patch)?;
            let (wanted, found) = self.checked(wanted)?;
            warnings = found;
            *current = wanted;
            forget_version(current, version.as_ref());
            Ok(())
        };
        let written = self
            .api
            .write_as(target.kind, place, part, self.options(), change, own)?;
        Ok(respond::with_warnings(self.one(200, written), &warnings))
    }

    /// Server-side apply.
    fn apply(&self, part: Part, config: &Value, author: &Author) -> Result<Response, ApiError> {
        self.check_apply(config)?;
        let target = &self.target;
        let (kind, name, force) = (target.kind, target.name()?, self.query.force);
        // What the configuration says is checked as it was sent, not as it was merged.
        let (mut config, warnings) = self.checked(config.clone())?;
        let missing = self
            .api
            .store()
            .get_shared(kind, target.namespace(), name)
            .is_none();
        if missing && part == Part::Main {
            if let Some(meta) = super::defaults::child(&mut config, "metadata") {
                meta.insert("name".into(), name.into());
            }
            let mut object = json!({});
            fields::apply(&mut object, &config, author, force)?;
            let owners = object.pointer("/metadata/managedFields").cloned();
            let finish = |object: &mut Value| {
                if let (Some(meta), Some(owners)) =
                    (super::defaults::child(object, "metadata"), owners)
                {
                    meta.insert("managedFields".into(), owners);
                }
            };
            let namespace = target.namespace();
            let made = self
                .api
                .create_as(kind, namespace, object, self.options(), finish)?;
            return Ok(respond::with_warnings(self.one(201, made), &warnings));
        }
        let change = |current: &mut Value| {
            let version = current.pointer("/metadata/resourceVersion").cloned();
            fields::apply(current, &config, author, force)?;
            forget_version(current, version.as_ref());
            Ok(())
        };
        let place = (target.namespace(), name);
        let keep = |_: &Value, _: &mut Value| {};
        let written = self
            .api
            .write_as(kind, place, part, self.options(), change, keep)?;
        Ok(respond::with_warnings(self.one(200, written), &warnings))
    }

    fn check_apply(&self, patch: &Value) -> Result<(), ApiError> {
        if self.query.field_manager.is_empty() {
            let cause = FieldCause::required("fieldManager", "is required for apply patch");
            return Err(ApiError::invalid_subject(
                "PatchOptions.meta.k8s.io",
                "",
                &[cause],
            ));
        }
        let text = |field: &str| patch.get(field).and_then(Value::as_str);
        if text("kind").is_none() || text("apiVersion").is_none() {
            return Err(ApiError::bad_request(
                "Object 'Kind' or 'apiVersion' is missing in the apply configuration",
            ));
        }
        Ok(())
    }

    fn set_scale(&self, verb: &str, body: &[u8]) -> Result<Response, ApiError> {
        let target = &self.target;
        let name = target.name()?;
        let headers = &self.parts.headers;
        let sent = if verb == "update" {
            body::decode(headers, body)?
        } else {
            body::json(body)?
        };
        let kind = PatchKind::from_media_type(&body::media_type(headers));
        let author = self.author();
        let change = |workload: &mut Value| {
            let mut wanted = sent;
            if verb == "patch" {
                let kind =
                    kind.ok_or_else(|| ApiError::unsupported_media_type(&PatchKind::ACCEPTED))?;
                let patch = std::mem::replace(&mut wanted, scale::of(workload));
                patch::apply(kind, &mut wanted, &patch)?;
            }
            scale::set(workload, &wanted, name)
        };
        let written = self.api.write_as(
            target.kind,
            (target.namespace(), name),
            Part::Main,
            self.options(),
            change,
            |old, new| fields::update(old, new, &author),
        )?;
        Ok(respond::json_body(200, &scale::of(&written)))
    }

    fn delete_options(&self, body: &[u8]) -> Result<DeleteOptions, ApiError> {
        let mut options = if body.is_empty() {
            DeleteOptions::default()
        } else {
            DeleteOptions::from_object(&body::decode(&self.parts.headers, body)?)?
        };
        options.set_grace(self.query.grace)?;
        options.set_propagation(self.query.propagation.as_deref())?;
        if self.query.orphan_dependents == Some(true) {
            options.propagation = super::Propagation::Orphan;
        }
        options.dry_run |= self.query.dry_run;
        Ok(options)
    }

    fn delete(&self, body: &[u8]) -> Result<Response, ApiError> {
        let options = self.delete_options(body)?;
        let target = &self.target;
        let kind = target.kind;
        if let Some(name) = &target.name {
            let (object, gone) = self.api.delete(kind, target.namespace(), name, &options)?;
            let returned = matches!(kind, Kind::Pod | Kind::ServiceAccount | Kind::Service);
            if gone && !returned {
                return Ok(respond::json_body(200, &respond::deleted(kind, &object)));
            }
            return Ok(self.one(200, object));
        }
        let (labels, fields) = self.selectors()?;
        let namespace = target.namespace.as_deref();
        let (objects, version) = self.api.list(kind, namespace, &labels, &fields);
        for object in &objects {
            let (namespace, name) = place(object);
            match self.api.delete(kind, &namespace, &name, &options) {
                Err(error) if error.code != 404 => return Err(error),
                _ => {}
            }
        }
        let meta = json!({ "resourceVersion": version.to_string() });
        let list = respond::shape_list(self.api, target, Form::Objects, "", &meta, objects);
        Ok(respond::json_body(200, &list))
    }

    /// An eviction is a deletion that budgets can hold up.
    fn evict(&self, body: &[u8]) -> Result<Response, ApiError> {
        let eviction = body::decode(&self.parts.headers, body)?;
        let options = eviction.get("deleteOptions");
        let mut options = match options.filter(|options| options.is_object()) {
            Some(options) => DeleteOptions::from_object(options)?,
            None => DeleteOptions::default(),
        };
        options.dry_run |= self.query.dry_run;
        let target = &self.target;
        eviction::admit(
            self.api,
            target.namespace(),
            target.name()?,
            options.dry_run,
        )?;
        self.api
            .delete(target.kind, target.namespace(), target.name()?, &options)?;
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201
        });
        Ok(respond::json_body(201, &status))
    }
}

/// A patch is made on the newest state: only a version that it names can conflict.
fn forget_version(wanted: &mut Value, newest: Option<&Value>) {
    if wanted.pointer("/metadata/resourceVersion") == newest
        && let Some(meta) = super::defaults::child(wanted, "metadata")
    {
        meta.shift_remove("resourceVersion");
    }
}

fn check_events_v1(object: &Value) -> Result<(), ApiError> {
    let version = object.get("apiVersion").and_then(Value::as_str);
    if let Some(found) = version.filter(|found| *found != "events.k8s.io/v1") {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({found}) does not match the expected API version (events.k8s.io/v1)"
        )));
    }
    Ok(())
}

fn place(object: &Value) -> (String, String) {
    let text = |path: &str| {
        let value = object.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    (text("/metadata/namespace"), text("/metadata/name"))
}

fn write_token(version: &str, (namespace, name): &(String, String)) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(format!("{TOKEN}/{version}/{namespace}/{name}"))
}

fn read_token(token: &str) -> Result<(u64, (String, String)), ApiError> {
    use base64::Engine as _;
    let parse = || {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(token)
            .ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.splitn(4, '/');
        if parts.next()? != TOKEN {
            return None;
        }
        let version = parts.next()?.parse().ok()?;
        Some((
            version,
            (parts.next()?.to_owned(), parts.next()?.to_owned()),
        ))
    };
    parse().ok_or_else(|| {
        ApiError::bad_request("continue key is not valid: encoded start key is not a valid token")
    })
}
