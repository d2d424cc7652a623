"""The OpenAPI document as a page that needs no network: Swagger UI and ReDoc would load their programs from elsewhere."""

import json
from html import escape
from typing import Any

from penumbra.commands.model_service.callers import TOKENS

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h2{border-top:1px solid #ccc;padding-top:1rem}code,pre{font:14px/1.45 ui-monospace,monospace;background:#f4f4f4}
pre{padding:.8rem;overflow:auto}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def page(document: dict[str, Any], address: str, *, guarded: bool) -> str:
    """Every path of an OpenAPI document with its parameters, what it is sent, and what it answers."""
    header = f' -H "Authorization: Bearer ${TOKENS["scorer"]}"' if guarded else ""
    parts = [f"<h1>{escape(document['info']['title'])}</h1><p>{escape(document['info']['description'])}</p>"]
    parts.append('<p>For programs: <a href="openapi.json">openapi.json</a></p>')
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(document, f"{method.upper()} {path}", operation, _example(method, address + path, header, operation)))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(document["info"]["title"])}</title><style>{STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _operation(document: dict[str, Any], name: str, operation: dict[str, Any], example: str) -> str:
    text = [f"<h2><code>{escape(name)}</code></h2><p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"]
    for parameter in operation.get("parameters", ()):
        text.append(f"<p><code>?{escape(parameter['name'])}=</code> {escape(parameter.get('description', ''))}</p>")
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        text.append(f"<p>Sent as <code>{escape(kind)}</code></p>{_schema(document, content.get('schema', {}))}")
    rows = []
    for status, answer in operation["responses"].items():
        kinds = [_schema(document, content.get("schema", {})) for content in answer.get("content", {}).values()]
        rows.append(f"<tr><td><code>{escape(status)}</code></td><td>{escape(answer['description'])}{''.join(kinds)}</td></tr>")
    return "".join([*text, f"<table>{''.join(rows)}</table><pre>{escape(example)}</pre>"])


def _schema(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """The fields of what a schema names."""
    named = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())]
    text = []
    for each in named:
        if "$ref" not in each:
            continue
        name = each["$ref"].rpartition("/")[2]
        of = document["components"]["schemas"][name]
        fields = "".join(
            f"<tr><td><code>{escape(key)}</code></td><td>{escape(value.get('description', ''))}</td></tr>" for key, value in of["properties"].items()
        )
        text.append(f"<p><b>{escape(name)}</b>: {escape(of.get('description', ''))}</p><table>{fields}</table>")
    return "".join(text)


def _example(method: str, address: str, header: str, operation: dict[str, Any]) -> str:
    if method == "get":
        return f"curl -s{header} {address}"
    kinds = operation["requestBody"]["content"]
    sent = json.dumps(kinds["application/json"]["example"])
    return "\n".join(
        (
            f"curl -s{header} {address} -H 'Content-Type: application/json' -d '{sent}'",
            f"curl -s{header} '{address}?center=north' -H 'Content-Type: application/zip' --data-binary @patient.zip",
        )
    )
