//! Events as AWS Lambda passes them to a function, and a fake of its runtime API.

mod lambda;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openmail_tower::{Secret, testing::TestEvent};
use serde_json::{Value, json};

pub(crate) use lambda::{Answer, Lambda, SECRET};

/// A trigger of the function, with an event in the format that AWS documents for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trigger {
    HttpApi,
    RestApi,
    FunctionUrl,
}

impl Trigger {
    pub(crate) const ALL: [Self; 3] = [Self::HttpApi, Self::RestApi, Self::FunctionUrl];

    pub(crate) fn template(self) -> Value {
        let text = match self {
            Self::HttpApi => include_str!("../events/http_api.json"),
            Self::RestApi => include_str!("../events/rest_api.json"),
            Self::FunctionUrl => include_str!("../events/function_url.json"),
        };
        serde_json::from_str(text).unwrap()
    }

    /// Returns the trigger's event with this delivery in it, signed now, since the program checks
    /// the time.
    pub(crate) fn delivers(self, event: &TestEvent, secret: &str) -> Value {
        let request = event.sign::<RawBody>(&Secret::new(secret).unwrap());
        let mut invocation = self.template();
        for (name, value) in request.headers() {
            let value = value.to_str().unwrap();
            if let Self::RestApi = self {
                // A REST API keeps the case of the headers; the other triggers use lower case.
                let name = in_openmails_case(name.as_str());
                invocation["multiValueHeaders"][&name] = json!([value]);
                invocation["headers"][&name] = json!(value);
            } else {
                invocation["headers"][name.as_str()] = json!(value);
            }
        }
        let body = std::str::from_utf8(&request.body().0).unwrap();
        let base64 = invocation["isBase64Encoded"] == json!(true);
        invocation["body"] = if base64 { json!(STANDARD.encode(body)) } else { json!(body) };
        invocation
    }
}

/// Encodes the body of an event from Lambda, or decodes it if it is encoded.
pub(crate) fn with_other_encoding(mut invocation: Value) -> Value {
    let body = invocation["body"].as_str().unwrap();
    let base64 = invocation["isBase64Encoded"] == json!(true);
    let body = if base64 {
        String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()
    } else {
        STANDARD.encode(body)
    };
    invocation["body"] = json!(body);
    invocation["isBase64Encoded"] = json!(!base64);
    invocation
}

fn in_openmails_case(name: &str) -> String {
    let words = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
    words.collect::<Vec<_>>().join("-")
}

/// A raw body.
struct RawBody(Vec<u8>);

impl<T: AsRef<[u8]>> From<T> for RawBody {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}
