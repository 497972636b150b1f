"""A checkpoint's chat template is rendered as transformers does, within bounds."""

from __future__ import annotations

import pytest
from jinja2.exceptions import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from imc_agents.chat.chat_templates import MOST_OUTPUT, TemplateUnbounded, render_template
from imc_reference.architecture import CHAT_TEMPLATE
from tests.tiny_models import build_tiny

CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [{"type": "image"}, {"type": "text", "text": 'Is <b>"it"</b> normal?'}],
    },
]

# What published templates use: namespaces, filters, macros, formatting, loop variables.
EVERYTHING = (
    "{% set ns = namespace(seen=false) %}{%- for m in messages -%}"
    "{%- if m['role'] == 'system' -%}{%- set ns.seen = true -%}{%- endif -%}{%- endfor -%}"
    "{{ bos_token }}{% for m in messages if m.role != 'system' %}"
    "{{ '<|' + m['role'] + '|>\n' }}{% if m['content'] is string %}{{ m['content'] | trim }}"
    "{% else %}{% for c in m['content'] %}{{ '<image>' if c.type == 'image' else c.text }}"
    "{% endfor %}{% endif %}{% generation %}{{ loop.index ~ loop.last ~ loop.length }}"
    "{% endgeneration %}{% endfor %}{{ messages | tojson(indent=2) }}"
    "{{ messages | map(attribute='role') | join(', ') }}{{ '%s-%d' % ('a', 3) }}"
    "{{ '{}'.format(2) }}{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('q') }}"
    "{% set a, b = 1, 2 %}{{ [a, b] + [3] }}{{ messages[1:] | length }}{{ range(3) | list }}"
)


@pytest.mark.parametrize("template", ["tiny", "reference", "everything"])
def test_a_template_writes_what_transformers_makes_it_write(template: str) -> None:
    source = {
        "tiny": build_tiny("llava").processor.chat_template,
        "reference": CHAT_TEMPLATE,
        "everything": EVERYTHING,
    }[template]
    variables = {"add_generation_prompt": True, "bos_token": "<s>"}
    (wanted,), _ = render_jinja_template([CONVERSATION], chat_template=source, **variables)
    messages = {"messages": CONVERSATION, "tools": None, "documents": None}
    assert render_template(source, {**variables, **messages}) == wanted


GROWING = (
    "{{% set ns = namespace(x={0}) %}}"
    "{{% for i in range(99) %}}{{% set ns.x = {1} %}}{{% endfor %}}"
)


@pytest.mark.parametrize(
    "source",
    [
        GROWING.format("'aaaa'", "ns.x + ns.x"),
        GROWING.format("'aaaa'", "ns.x ~ ns.x"),
        GROWING.format("'aaaa'", "ns.x * 2"),
        GROWING.format("'aaaa'", "'%s%s' % (ns.x, ns.x)"),
        GROWING.format("'aaaa'", "'{0}{0}'.format(ns.x)"),
        GROWING.format("'aaaa'", "ns.x | replace('a', ns.x)"),
        GROWING.format("['a']", "[ns.x, ns.x]") + "{{ ns.x }}",
        GROWING.format("{}", "{'a': ns.x, 'b': ns.x}") + "{{ ns.x | tojson }}",
        GROWING.format("9", "ns.x * ns.x"),
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format('x') }}",
        "{{ 'x'.ljust(999999999) }}{{ 'x' | center(999999999) }}",
        "{{ [1] | tojson(indent=999999999) }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}",
        "{% set x %}{% for a in range(9999) %}" + "x" * 9999 + "{% endfor %}{% endset %}",
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(99) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ " + "(" * 9999 + "1" + ")" * 9999 + " }}",
        "x" * 300_000,
    ],
)
def test_a_template_without_end_is_stopped(source: str) -> None:
    with pytest.raises(TemplateUnbounded):
        render_template(source, {"messages": CONVERSATION})


@pytest.mark.parametrize("source", ["{% for %}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}"])
def test_a_template_that_fails_is_an_error_of_templates(source: str) -> None:
    with pytest.raises(TemplateError):
        render_template(source, {"messages": CONVERSATION})


def test_a_long_question_is_within_the_bounds() -> None:
    text = "Is this normal? " * (MOST_OUTPUT // 64)
    messages = [{"role": "user", "content": text}]
    source = "{% for m in messages %}{{ '<s>' + m['content'] | trim + '</s>' }}{% endfor %}"
    assert render_template(source, {"messages": messages}) == f"<s>{text.strip()}</s>"
