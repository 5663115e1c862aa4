//! Pods, inboxes and API keys.

use jiff::Timestamp;

use super::{
    data::Data,
    model::{Account, ApiKey, Inbox, Mail, Pod, Progress, Thread, new_id},
    refusal::Refusal,
};

/// The maximum number of keys of a pod or an inbox.
const MAX_KEYS: usize = 10;

/// The holder of an API key, which determines what the key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Account,
    Pod(String),
    Inbox(String),
}

impl Data {
    pub(crate) fn set_account(&mut self, account: Account) -> Result<(), Refusal> {
        openmail_tower::Secret::new(&account.webhook_secret).map_err(|error| {
            Refusal::bad_request(format!("The webhook's secret is not usable: {error}."))
        })?;
        self.put(account);
        Ok(())
    }

    pub(crate) fn has_account(&self) -> bool {
        !self.accounts.is_empty()
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = &Pod> {
        let default = |pod: &&Pod| pod.is_default;
        self.pods.values().filter(default).chain(self.pods.values().filter(|pod| !pod.is_default))
    }

    /// Returns a pod by its id or its `clientId`.
    pub(crate) fn pod(&self, id: &str) -> Result<&Pod, Refusal> {
        let by_client = || self.pods.values().find(|pod| pod.client_id.as_deref() == Some(id));
        self.pods.get(id).or_else(by_client).ok_or_else(|| Refusal::not_found("pod"))
    }

    pub(crate) fn create_pod(
        &mut self,
        client_id: Option<String>,
        name: Option<String>,
    ) -> Result<Pod, Refusal> {
        self.check_client_id(client_id.as_deref(), None)?;
        let is_default = self.pods.is_empty();
        let (id, created_at) = (new_id("pod"), Timestamp::now());
        let pod = Pod { id, client_id, name, is_default, suspended: None, created_at };
        self.put(pod.clone());
        Ok(pod)
    }

    pub(crate) fn update_pod(
        &mut self,
        id: &str,
        client_id: Option<Option<String>>,
        name: Option<Option<String>>,
    ) -> Result<Pod, Refusal> {
        let mut pod = self.pod(id)?.clone();
        if let Some(client_id) = client_id {
            self.check_client_id(client_id.as_deref(), Some(&pod.id))?;
            pod.client_id = client_id;
        }
        pod.name = name.unwrap_or(pod.name);
        self.put(pod.clone());
        Ok(pod)
    }

    pub(crate) fn delete_pod(&mut self, id: &str) -> Result<(), Refusal> {
        let Pod { id, is_default, .. } = self.pod(id)?.clone();
        if is_default {
            return Err(Refusal::conflict("default_pod", "The default pod cannot be deleted."));
        }
        if self.inboxes.values().any(|inbox| inbox.pod_id == id) {
            return Err(Refusal::conflict("pod_not_empty", "The pod still has inboxes."));
        }
        let keys = self.api_keys.values().filter(|key| key.pod_id == id);
        let keys: Vec<_> = keys.map(|key| key.id.clone()).collect();
        for key in keys {
            self.remove::<ApiKey>(&key);
        }
        self.remove::<Pod>(&id);
        Ok(())
    }

    fn check_client_id(&self, client_id: Option<&str>, own: Option<&str>) -> Result<(), Refusal> {
        let Some(client_id) = client_id else { return Ok(()) };
        let taken = self
            .pods
            .values()
            .any(|pod| Some(&*pod.id) != own && pod.client_id.as_deref() == Some(client_id));
        match taken {
            true => Err(Refusal::conflict("conflict", "Another pod has this clientId.")),
            false => Ok(()),
        }
    }

    /// Returns the inboxes, oldest first.
    pub(crate) fn inboxes(&self) -> Vec<&Inbox> {
        let mut inboxes: Vec<_> = self.inboxes.values().collect();
        inboxes.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        inboxes
    }

    pub(crate) fn inbox(&self, id: &str) -> Result<&Inbox, Refusal> {
        self.inboxes.get(id).ok_or_else(|| Refusal::not_found("inbox"))
    }

    pub(crate) fn inbox_at(&self, address: &str) -> Option<&Inbox> {
        self.inboxes.values().find(|inbox| inbox.address.eq_ignore_ascii_case(address))
    }

    /// Adds an inbox. `id` is generated if it is `None`.
    pub(crate) fn create_inbox(
        &mut self,
        id: Option<String>,
        pod: Option<&str>,
        address: String,
        display_name: Option<String>,
        webhook: Option<(String, String)>,
    ) -> Result<Inbox, Refusal> {
        let pod_id = match pod {
            Some(pod) => self
                .pod(pod)
                .map_err(|_| Refusal::bad_request("podId names no pod of this account."))?
                .id
                .clone(),
            None => self.pods().next().expect("a state has a default pod").id.clone(),
        };
        if self.inbox_at(&address).is_some() {
            return Err(Refusal::conflict("conflict", "The address is in use."));
        }
        let (webhook_url, webhook_secret) = webhook.unzip();
        let inbox = Inbox {
            id: id.unwrap_or_else(|| new_id("inb")),
            pod_id,
            address,
            display_name,
            webhook_url,
            webhook_secret,
            suspended: None,
            created_at: Timestamp::now(),
        };
        self.put(inbox.clone());
        Ok(inbox)
    }

    pub(crate) fn set_display_name(
        &mut self,
        id: &str,
        name: Option<String>,
    ) -> Result<Inbox, Refusal> {
        self.edit(id, |inbox: &mut Inbox| inbox.display_name = name)
            .ok_or_else(|| Refusal::not_found("inbox"))
    }

    /// Sets or clears the webhook's URL. With the first URL, `secret` is set as well. Returns
    /// whether `secret` was used.
    pub(crate) fn set_webhook(
        &mut self,
        id: &str,
        url: Option<String>,
        secret: String,
    ) -> Result<bool, Refusal> {
        let mut inbox = self.inbox(id)?.clone();
        let first = url.is_some() && inbox.webhook_secret.is_none();
        if first {
            inbox.webhook_secret = Some(secret);
        }
        inbox.webhook_url = url;
        self.put(inbox);
        Ok(first)
    }

    pub(crate) fn rotate_secret(&mut self, id: &str, secret: &str) -> Result<(), Refusal> {
        let mut inbox = self.inbox(id)?.clone();
        if inbox.webhook_url.is_none() {
            return Err(Refusal::no_webhook_url());
        }
        inbox.webhook_secret = Some(secret.to_owned());
        self.put(inbox);
        Ok(())
    }

    /// Deletes the inbox, its mail and its keys. Deliveries in progress are cancelled.
    pub(crate) fn delete_inbox(&mut self, id: &str) -> Result<(), Refusal> {
        self.inbox(id)?;
        let of_inbox = |inbox: &String| inbox == id;
        let mails: Vec<_> =
            self.mails.values().filter(|it| of_inbox(&it.inbox_id)).cloned().collect();
        for mail in mails {
            for attachment in &mail.attachments {
                self.remove_file(&attachment.file);
            }
            self.remove::<Mail>(&mail.id);
        }
        let threads = self.threads.values().filter(|it| of_inbox(&it.inbox_id));
        for thread in threads.map(|it| it.id.clone()).collect::<Vec<_>>() {
            self.remove::<Thread>(&thread);
        }
        let keys = self.api_keys.values().filter(|it| it.inbox_id.as_ref().is_some_and(of_inbox));
        for key in keys.map(|it| it.id.clone()).collect::<Vec<_>>() {
            self.remove::<ApiKey>(&key);
        }
        let deliveries = self.deliveries.values().filter(|it| {
            it.inbox_id.as_ref().is_some_and(of_inbox) && it.progress == Progress::Pending
        });
        for delivery in deliveries.map(|it| it.id.clone()).collect::<Vec<_>>() {
            self.cancel(&delivery);
        }
        self.remove::<Inbox>(id);
        Ok(())
    }

    /// Returns the holder of a key.
    pub(crate) fn holder(&self, token: &str) -> Option<Holder> {
        if self.account().api_key == token {
            return Some(Holder::Account);
        }
        let key = self.api_keys.values().find(|key| key.token == token)?;
        Some(match &key.inbox_id {
            Some(inbox) => Holder::Inbox(inbox.clone()),
            None => Holder::Pod(key.pod_id.clone()),
        })
    }

    pub(crate) fn note_use(&mut self, token: &str) {
        let key = self.api_keys.values().find(|key| key.token == token);
        if let Some(id) = key.map(|key| key.id.clone()) {
            self.edit(&id, |key: &mut ApiKey| key.last_used_at = Some(Timestamp::now()));
        }
    }

    /// Returns the keys of an inbox, or the keys of a pod that do not belong to an inbox.
    pub(crate) fn keys(&self, pod: &str, inbox: Option<&str>) -> Vec<ApiKey> {
        let of = |key: &&ApiKey| key.pod_id == pod && key.inbox_id.as_deref() == inbox;
        self.api_keys.values().filter(of).cloned().collect()
    }

    pub(crate) fn create_key(
        &mut self,
        pod: &str,
        inbox: Option<&str>,
        name: Option<String>,
        token: String,
    ) -> Result<ApiKey, Refusal> {
        if self.keys(pod, inbox).len() >= MAX_KEYS {
            let message = format!("There are {MAX_KEYS} keys already; revoke one first.");
            return Err(Refusal::unprocessable("api_key_limit_reached", message));
        }
        let key = ApiKey {
            id: new_id("key"),
            name,
            pod_id: pod.to_owned(),
            inbox_id: inbox.map(str::to_owned),
            token,
            created_at: Timestamp::now(),
            last_used_at: None,
        };
        self.put(key.clone());
        Ok(key)
    }

    pub(crate) fn revoke_key(
        &mut self,
        pod: &str,
        inbox: Option<&str>,
        id: &str,
    ) -> Result<(), Refusal> {
        if !self.keys(pod, inbox).iter().any(|key| key.id == id) {
            return Err(Refusal::not_found("API key"));
        }
        self.remove::<ApiKey>(id);
        Ok(())
    }
}
