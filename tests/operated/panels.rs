//! What a dashboard asks of Prometheus.

use serde_json::Value;

/// A panel of a dashboard.
pub(crate) struct Panel {
    /// Its title.
    pub(crate) title: String,
    /// Its queries, with variables in them.
    pub(crate) queries: Vec<String>,
    /// All of it.
    pub(crate) json: Value,
}

/// A variable of a dashboard.
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// For one that asks for the values of a label: of which series, and of which label.
    pub(crate) label_values: Option<(String, String)>,
}

/// The panels of a dashboard.
pub(crate) fn panels(dashboard: &Value) -> Vec<Panel> {
    let panel = |json: &Value| {
        let query = |target: &Value| target["expr"].as_str().unwrap_or_default().to_owned();
        let targets = json["targets"].as_array().cloned().unwrap_or_default();
        Panel {
            title: json["title"].as_str().unwrap_or_default().to_owned(),
            queries: targets.iter().map(query).collect(),
            json: json.clone(),
        }
    };
    dashboard["panels"].as_array().unwrap().iter().map(panel).collect()
}

/// The variables of a dashboard.
pub(crate) fn variables(dashboard: &Value) -> Vec<Variable> {
    let variable = |json: &Value| {
        let query = json.pointer("/query/query").and_then(Value::as_str);
        let inner = query.and_then(|q| q.strip_prefix("label_values(")?.strip_suffix(')'));
        let (series, label) = inner.and_then(|inner| inner.rsplit_once(", ")).unzip();
        Variable {
            name: json["name"].as_str().unwrap().to_owned(),
            label_values: series.map(str::to_owned).zip(label.map(str::to_owned)),
        }
    };
    dashboard["templating"]["list"].as_array().unwrap().iter().map(variable).collect()
}
