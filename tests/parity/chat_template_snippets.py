"""Small templates and the names they are given, one feature or two each; test_chat_templates.py renders them by jinja2 and by the program."""

MESSAGES = [
    {"role": "system", "content": " Be terse. "},
    {"role": "user", "content": "Hi <b>you</b> & 'me' \"all\""},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a1", "function": {"name": "f", "arguments": {"x": [1, 2.5, None, True], "\u00e9": "\u4f60\U0001f600"}}}]},
    {"role": "tool", "content": "{\"t\": 21}"},
]
NAMES = {
    "messages": MESSAGES, "n": 7, "m": -3, "f": 2.5, "s": "Hello, W\u00f6rld", "e": "", "t": True, "no": False, "nil": None, "xs": [3, 1, 2], "words": ["b", "A", "c", "a"],
    "d": {"b": 2, "a": 1, "items": 5, "nested": {"x": [1, {"y": "z"}]}}, "pairs": [["a", 1], ["b", 2]], "people": [{"n": "Bo", "a": 5}, {"n": "al", "a": 3}, {"n": "Cy"}],
    "big": 1e16, "small": 1e-5, "third": 1 / 3, "lines": "one\n two\n\nthree\r\nfour", "uni": "\u0130\u00df\u03a3 \u01c5 na\u00efve \u200b\u00a0x\u2028y",
}

WHITE_SPACE = [
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}  \n  b\n  {% endif %}\n  c", "  {%- if t -%}  x  {%- endif -%}  y", "a  {{- n -}}  b", "a\n  {{ n }}\n  b", "x {#- c -#} y",
    "x\n  {# c #}\n y", "a {%+ if t %} b {%+ endif %}", "  {%+ if t +%}\n x {% endif %}", "{% raw %} {{ x }} {% y %} {% endraw %}z", "a\n  {%- raw -%}\n {{ q }} \n{%- endraw -%}\n b",
    "{% raw %}\n  x\n  {% endraw %}\ny", "{{ n }}\n{{ n }}\n\n", "\n\n{{ n }}", "a\r\nb\rc {{ n }}\r\n", "{{ '{{' }}{{ '%}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{% if t %}{% endif %}\n{% if t %}x{% endif %}\n",
    "a{# {{ x }} {% if %} #}b", "{%if t%}x{%endif%}", "{{n}}{{-n}}{{n-}} x", "\t {% set q = 1 %} \t{{ q }}", "x{#-#}y", "{{- 'a' -}}\n\n{{- 'b' }}", "{%- for x in xs %}\n{{ x }}\n{%- endfor %}\n",
]
EXPRESSIONS = [
    "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}",
    "{{ -2 ** 2 }} {{ +3 }} {{ - -3 }} {{ -n | abs }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e-3 }} {{ 1e22 }} {{ 1e16 }} {{ 123456789012345.6 }}",
    "{{ big }} {{ small }} {{ third }} {{ 1.0 }} {{ 100.0 }} {{ 0.1 + 0.2 }} {{ f }} {{ -0.0 }} {{ 5e-324 }} {{ 1e308 * 10 }} {{ -1e308 * 10 }}",
    "{{ true + 1 }} {{ true }} {{ false }} {{ none }} {{ True }} {{ None }} {{ true == 1 }} {{ 1 == 1.0 }} {{ '1' == 1 }} {{ none == false }} {{ [1] == [1] }} {{ (1,) == [1] }} {{ {'a': 1} == {'a': 1.0} }}",
    "{{ 'a' 'b' \"c\" }} {{ 'a' + 'b' }} {{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x'] }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1, 2) + (3,) }} {{ 'x' * 0 }}{{ 'x' * -1 }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 <= 1 }} {{ 2 >= 3 }} {{ 1 != 2 }} {{ 'Z' < 'a' }} {{ (1, 'a') < (1, 'b') }} {{ 1 < 1.5 }} {{ true < 2 }}",
    "{{ 1 in [1, 2] }} {{ 3 not in [1, 2] }} {{ 'a' in 'cat' }} {{ '' in 'x' }} {{ 'a' in d }} {{ 'z' in d }} {{ not 1 in [1] }} {{ none in [none] }} {{ 1 in (1,) }} {{ 'x' in missing }}",
    "{{ t and n }} {{ no or 'x' }} {{ not t }} {{ not not n }} {{ nil or e or 0 }} {{ t and no or s }} {{ n if t else 0 }} {{ n if no }} {{ 'a' if no else 'b' if no else 'c' }} {{ (1 if t) }}",
    "{{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[:-3] }} {{ s[-3:] }} {{ s[::2] }} {{ xs[1:] }} {{ xs[::-1] }} {{ xs[5:] }} {{ xs[-1] }} {{ xs[10] }} {{ s[100] }} {{ (1, 2, 3)[1:] }} {{ xs[2:0:-1] }} {{ xs[:100] }} {{ xs[-100:2] }}",
    "{{ d.b }} {{ d['a'] }} {{ d.nested.x[1].y }} {{ d['nested']['x'][0] }} {{ d.zzz }} {{ d['items'] }} {{ d.nested.x.1.y }} {{ messages[0]['role'] }} {{ messages[-1].content }} {{ d['zzz'] is defined }} {{ d.get('zzz') }} {{ d.get('zzz', 4) }} {{ d.get('b') }}",
    "{{ [1, 'a', none, 2.0, true, [], {}, {'k': (1,)}, ()] }} {{ {1: 'a', none: 2, 'x': [1]} }} {{ (1, 2) }} {{ 1, 2 }} {{ [] }} {{ ['it\\'s', \"q\\\"\", 'b\\\\', 'n\\n\\t'] }} {{ [uni] }} {{ [1,] }} {{ {'a': 1,} }} {{ ['\\x07\\x7f\\xad\\u3000'] }}",
    "{{ missing }}|{{ missing is defined }}|{{ missing == missing2 }}|{{ missing | length }}|{{ missing | list }}|{{ missing | default('d') }}|{{ [missing] }}|{{ missing ~ 'x' }}|{{ not missing }}|{{ missing or 3 }}|{{ missing in [1] }}|{{ missing == none }}|{{ missing != 1 }}",
    "{{ '\\n\\t\\\\\\'\\x41\\u00e9\\U0001F600\\101\\q' }}", "{{ 'a\nb' }}", "{{ 1.__class__ is defined }}", "{{ s.upper().lower().title() }} {{ 'a,b'.split(',')[1].upper() }} {{ (s | upper).lower() }} {{ 'x'.join(['a', 'b']) }}",
    "{{ 1 if 2 is number and 3 is odd else 4 }} {{ n is divisibleby 7 }} {{ n is divisibleby(3) }} {{ 'a' is in 'abc' }} {{ 'a' is in(['a']) }} {{ n is eq 7 }} {{ n is not even }} {{ nil is none and t is true }} {{ s is string }}",
    "{{ {'a': 1}.a }} {{ [1, 2][0] }} {{ 'abc'[1] }} {{ ({'a': 1}).items() | list }}",
    "{{ 5 is lt 6 }} {{ 5 is ge(5) }} {{ 'a' is sameas 'a' }} {{ 1 is sameas true }} {{ none is sameas none }} {{ 'length' is filter }} {{ 'zz' is filter }} {{ 'odd' is test }}",
    "{{ nil.foo }}|{{ nil.foo is defined }}|{{ xs.foo is undefined }}|{{ s.foo }}|{{ xs['a'] }}|{{ d[1] }}|{{ xs.append is defined }}|{{ d.update is defined }}|{{ d.__class__ is defined }}",
]
TESTS = ["{% for v in [1, 0, 1.5, true, false, none, '', 'Ab', 'ab', 'AB', [], [1], (), (1,), {}, {'a': 1}, missing, range(2)] %}{{ v is TEST }},{% endfor %}".replace("TEST", test) for test in (
    "defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping", "sequence", "iterable", "callable", "eq 1", "ne 1", "equalto 'ab'", "in [1, 'ab']", "not none", "escaped")]
TESTS += ["{{ 'ab' is lower }} {{ 'AB' is upper }} {{ 'Ab' is lower }} {{ '12' is lower }} {{ 4 is even }} {{ 4 is odd }} {{ namespace is callable }} {{ namespace() is mapping }}"]
STATEMENTS = [
    "{% for x in xs %}{{ loop.index }},{{ loop.index0 }},{{ loop.revindex }},{{ loop.revindex0 }},{{ loop.first }},{{ loop.last }},{{ loop.length }},{{ loop.previtem }},{{ loop.nextitem }},{{ loop.depth }};{% endfor %}",
    "{% for x in [] %}x{% else %}none{% endfor %}{% for x in missing %}x{% else %}none{% endfor %}{% for x in xs if x > 5 %}x{% else %}filtered{% endfor %}",
    "{% for x in xs if x != 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'h\u00e9y' %}[{{ c }}]{% endfor %}",
    "{% for a, (b, c) in [[1, [2, 3]], (4, 'xy')] %}{{ a }}{{ b }}{{ c }};{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}|{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}e{% endfor %}",
    "{% for x in xs %}{% for y in xs %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in xs %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}{% for x in range(5, 0, -2) %}{{ x }}{% endfor %}{{ range(4) | list }} {{ range(3)[1] }} {{ range(3) | length }}",
    "{% set x = 1 %}{% for i in xs %}{{ x }}{% set x = i %}{{ x }} {% endfor %}{{ x }}", "{% set ns = namespace(x=1, y='a') %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z is defined }}{{ ns['x'] }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns.a, ns.b = 5, 6 %}{{ ns.a }}{{ ns.b }}", "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}{% set q = 1, 2 %}{{ q }}",
    "{% set x %}a {{ n }} b{% endset %}[{{ x }}]{% set y | upper | replace('A', 'Q') %}abc{% endset %}[{{ y }}]{{ x is string }}", "{% if no %}a{% elif n > 5 %}b{% else %}c{% endif %}{% if e %}x{% endif %}{% if nil is none %}y{% endif %}{% if xs %}z{% endif %}",
    "{% if t %}{% set inner = 5 %}{% endif %}{{ inner }}{% if no %}{% set other = 5 %}{% endif %}{{ other is defined }}", "{% for x in xs %}{% set last = x %}{% endfor %}{{ last is defined }}",
    "{% macro m(a, b=2, c=a) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 5) }}{{ m(b=3, a=4) }}{{ m() }}{{ m(1, c='x') }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}{{ m(*[1, 2], **{'k': 3}) }}",
    "{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * (fact(k - 1) | int) }}{% endif %}{% endmacro %}{{ fact(6) }}{{ fact.name }}", "{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}in {{ n }}{% endcall %}",
    "{% macro w(xs) %}{% for x in xs %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(v, i) w(xs) %}{{ i }}:{{ v }} {% endcall %}", "{% macro f() %}{{ later }}{% endmacro %}{% set later = 3 %}{{ f() }}",
    "{% macro f(x) %}{% set n = x %}{{ n }}{% endmacro %}{{ f(1) }}{{ n }}", "{% filter upper %}a{{ s }}{% endfilter %}{% filter replace('a', 'b') | trim %} aXa {% endfilter %}", "{% with a = 1, b = n %}{{ a }}{{ b }}{% set n = 9 %}{{ n }}{% endwith %}{{ n }}{{ a is defined }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{% set j = joiner('; ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% for m in messages %}{% if loop.first and messages[0].role == 'system' %}S{% endif %}{{ m.role }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% set ns = namespace(parts=[]) %}{% for m in messages %}{% set ns.parts = ns.parts + [m.role] %}{% endfor %}{{ ns.parts | join(', ') }}", "{% for m in messages[1:] %}{{ loop.index0 }}{{ messages[loop.index0].role }} {% endfor %}{% for m in messages[::-1] %}{{ m.role }} {% endfor %}",
    "{{ dict(a=1, b=2) }}{{ dict({'x': 1}, y=2) }}{{ dict([['p', 1], ('q', 2)]) }}", "{% generation %}x{{ n }}{% set g = 1 %}{% endgeneration %}{{ g is defined }}", "{% for m in messages %}{{ m.role }}{% generation %}<{{ loop.index }}>{% endgeneration %}{% endfor %}",
    "{% for x in xs: %}{{ x }}{% endfor %}{% if t: %}y{% endif %}", "{% set loop_messages = messages[1:] if messages[0].role == 'system' else messages %}{{ loop_messages | length }}",
    "{% macro outer() %}{% macro inner(x) %}[{{ x }}]{% endmacro %}{{ inner(1) }}{{ inner(2) }}{% endmacro %}{{ outer() }}{{ inner is defined }}", "{% for x in xs %}{% macro g() %}{{ x }}{% endmacro %}{{ g() }}{% endfor %}",
    "{% for x in xs | sort %}{{ x }}{% endfor %}{% for k, v in d | dictsort if v is number %}{{ k }}{{ v }}{% endfor %}{% for x in (1, 2) + (3,) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}",
]
FILTERS = [
    "{{ 'a b&c/d?\u00e9~_-.' | urlencode }}|{{ {'a': 1, 'b c': 'x&y/'} | urlencode }}|{{ [('k', 'v w'), (1, none)] | urlencode }}|{{ 5 | urlencode }}|{{ none | urlencode }}|{{ missing | urlencode }}|{{ [] | urlencode }}",
    "{% for part in [1, 2, 3, 4, 5, 6, 7] | slice(3) %}{{ part }};{% endfor %}{{ [1, 2, 3, 4] | slice(3, 'x') | list }}{{ [] | slice(2) | list }}{{ 'abc' | slice(2) | list }}{{ xs | slice(5, 0) | list }}",
    "{{ 'hello big world' | truncate(9) }}|{{ 'hello big world' | truncate(9, true) }}|{{ 'hello big world' | truncate(9, false, '~', 0) }}|{{ 'hello big' | truncate(5, leeway=9) }}|{{ 'h\u00e9llob\u00efg' | truncate(6, end='', leeway=0) }}|{{ s | truncate }}|{{ lines | truncate(8, leeway=0) }}",
    "{% for g in people | groupby('a', default=0) %}{{ g.grouper }}:{{ g.list | length }};{% endfor %}{% for k, l in [{'c': 'x', 'v': 1}, {'c': 'y', 'v': 2}, {'c': 'x', 'v': 3}] | groupby('c') %}{{ k }}={{ l | map(attribute='v') | join(',') }};{% endfor %}",
    "{{ ['b', 'A', 'a'] | groupby(0) }}{{ ['b', 'A', 'a'] | groupby(0, case_sensitive=true) }}{{ pairs | groupby(1) | map('first') | list }}{{ (pairs | groupby(0))[0] }}{{ (pairs | groupby(0))[0].list }}{{ (pairs | groupby(0))[0][0] }}{{ [] | groupby('x') }}{{ messages | groupby('role') | map(attribute='grouper') | list }}",
    "{{ 1234 | round(-2) }} {{ 1250 | round(-2) }} {{ 1350 | round(-2) }} {{ -1250 | round(-2) }} {{ 1250.0 | round(-2) }} {{ 1251.5 | round(-2) }} {{ -49 | round(-2) }} {{ 1234 | round(-2, 'ceil') }} {{ 1234.5 | round(-1, 'floor') }} {{ 5 | round(-1) }} {{ 15 | round(-1) }} {{ -15.5 | round(-1) }}",
    "{{ messages | tojson }}", "{{ d | tojson(indent=2) }}|{{ [] | tojson(indent=2) }}|{{ {} | tojson(indent=4) }}|{{ [[1], {}] | tojson(indent=1) }}", "{{ messages | tojson(ensure_ascii=true) }}", "{{ d | tojson(sort_keys=true, separators=(',', ':')) }}",
    "{{ [1.0, 1e20, 1e-7, none, true, 'a\"\\\\\\n\\x01\\x7f/'] | tojson }}{{ d | tojson(indent='--') }}{{ (1, 2) | tojson }}{{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}{{ '<a&b>' | tojson }}", "{{ s | tojson | tojson }}{{ 'x' | tojson(false, 2) }}",
    "[{{ '  x  ' | trim }}][{{ 'xxaxx' | trim('x') }}][{{ '\\n\\t a\\u00a0' | trim }}][{{ nil | trim }}][{{ n | trim }}]", "{{ s | upper }} {{ s | lower }} {{ 'hello wORLD foo-bar (baz' | title }} {{ 'hELLO' | capitalize }} {{ 'it\\'s a' | title }} {{ '\u00e9a' | capitalize }} {{ '\u00df' | upper }}",
    "{{ s | length }} {{ xs | length }} {{ d | length }} {{ uni | length }} {{ xs | count }}", "{{ xs | join }} {{ xs | join(', ') }} {{ people | join('-', attribute='n') }} {{ ['a', none, 1.5] | join('/') }} {{ 'abc' | join('.') }} {{ d | join(',') }}",
    "{{ xs | first }}{{ xs | last }}{{ [] | first }}{{ s | first }}{{ s | last }}{{ d | first }}{{ [] | last }}", "{{ xs | sort }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ xs | sort(reverse=true) }} {{ people | sort(attribute='n') | map(attribute='n') | list }} {{ words | sort(reverse=true) }}",
    "{{ d | dictsort(by='key') | list | length }}{{ {'B': 1, 'a': 3, 'C': 2} | dictsort }}{{ {'B': 1, 'a': 3} | dictsort(true) }}{{ {'x': 3, 'y': 1} | dictsort(by='value') }}{{ {'x': 3, 'y': 1} | dictsort(false, 'value', true) }}",
    "{{ [1, 2, 1, 3] | unique | list }} {{ ['a', 'A', 'b'] | unique | list }} {{ ['a', 'A'] | unique(true) | list }} {{ [{'a': 1}, {'a': 1}] | unique(attribute='a') | list | length }}", "{{ xs | sum }} {{ people[:2] | sum(attribute='a') }} {{ [1.5, 2] | sum(start=10) }} {{ [] | sum }} {{ xs | min }} {{ xs | max }} {{ words | max }} {{ words | min(case_sensitive=true) }} {{ people[:2] | max(attribute='a') }} {{ [] | max }}",
    "{{ xs | reverse | list }} {{ s | reverse }} {{ d | reverse | list }} {{ range(3) | reverse | list }}", "{{ words | map('upper') | list }} {{ people | map(attribute='n') | list }} {{ people | map(attribute='a', default=0) | list }} {{ pairs | map(attribute=0) | list }} {{ pairs | map(attribute='1') | list }} {{ words | map('replace', 'a', 'z') | join }}",
    "{{ [1, 0, 2, none, 'x'] | select | list }} {{ [1, 0, 2] | reject | list }} {{ xs | select('odd') | list }} {{ xs | reject('gt', 1) | list }} {{ xs | select('in', [1, 2]) | list }}", "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ people | selectattr('a') | map(attribute='n') | list }} {{ people | rejectattr('a', 'defined') | list }} {{ people | selectattr('a', 'defined') | selectattr('a', '>', 3) | list }}",
    "{% if messages | selectattr('role', 'equalto', 'nobody') %}a generator is true{% endif %}{% set g = xs | map('string') %}{{ g | join }}{{ g | join }}{{ (xs | map('string') | first) }}", "{{ nil | default('x') }} {{ nil | default('x', true) }} {{ e | d('y', boolean=true) }} {{ missing | default }} {{ d.zz | default(5) }} {{ 0 | default(3) }}",
    "{{ d | items | list }} {{ missing | items | list }} {{ d.items() | list }} {{ d.keys() | list }} {{ d.values() | list }} {{ d | list }}", "{{ n | string }}{{ f | string | length }}{{ nil | string }}{{ '7' | int + 1 }} {{ '42.9' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 'ff' | int(base=16) }} {{ ' 12 ' | int }} {{ '1_0' | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ nil | int }} {{ true | int }} {{ '0x1A' | int(0, 16) }} {{ '-5' | int }}",
    "{{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(1) }} {{ 3 | float }} {{ '1e3' | float }} {{ ' .5 ' | float }} {{ 'inf' | float }} {{ nil | float }} {{ '5.' | float }}", "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 42.55 | round(1, 'floor') }} {{ 42.51 | round(1, 'ceil') }} {{ 42 | round }} {{ -2.5 | round }} {{ 1.005 | round(2) | string }} {{ 42.7 | round | int }}",
    "{{ -5 | abs }} {{ (-5) | abs }} {{ m | abs }} {{ -2.5 | abs }}", "{{ 'aXbXc' | replace('X', '-') }} {{ 'aXbXc' | replace('X', '-', 1) }} {{ 'abc' | replace('', '.') }} {{ 123 | replace('2', 'x') }}", "{{ lines | indent }}|{{ lines | indent(2, true) }}|{{ lines | indent(2, first=false, blank=true) }}|{{ lines | indent('> ') }}|{{ '' | indent }}|{{ 'a\\n' | indent(1) }}",
    "{{ '<a href=\"x\">&\\'' | escape }} {{ '<' | e }} {{ '<b>' | safe }}", "{{ '%s is %d and %5.2f%%' | format('x', 5, 1.5) }} {{ '%(a)s' | format(a=1) }} {{ '%r %x %5s|%-5s|%05d' % ('q', 255, 'a', 'b', -42) }} {{ 'a%sb' % 5 }} {{ '%+d % d %e %g' % (5, 5, 12345.678, 0.0001) }} {{ '%.2s' % 'abc' }}",
    "{{ 'x' | center(5) }}| {{ 'a b  c-d' | wordcount }} {{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }}", "{{ 'abc' | list }} {{ (1, 2) | list }} {{ d.nested | list }}", "{{ d | attr('b') is defined }}",
    "{{ ['b', 'a'] | sort | first | upper ~ '!' }} {{ (xs | sort)[0] }} {{ xs | sort | join(',') | length }} {{ -1 | string }} {{ 'a' ~ 'b' | upper }} {{ 1 + 2 | string | int }}", "{{ people | map(attribute='n') | sort | join(',') }} {{ people[:2] | sort(attribute='a,n') | map(attribute='n') | join }}",
]
METHODS = [
    "[{{ '  a b '.strip() }}][{{ '  a '.lstrip() }}][{{ ' a  '.rstrip() }}][{{ 'xxaxx'.strip('x') }}][{{ 'abcba'.strip('ab') }}][{{ '\\u3000a\\x1f'.strip() }}][{{ 'aXX'.rstrip('X') }}]", "{{ 'a b  c '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(maxsplit=1) }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a '.split(' ') }} {{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c'.rsplit(none, 1) }} {{ 'a--b'.split('--')[-1] }} {{ ' a  b c '.split(none, 1) }}",
    "{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ 'a\\n'.splitlines() }} {{ ''.splitlines() }}", "{{ s.startswith('Hello') }} {{ s.endswith('ld') }} {{ s.startswith(('a', 'H')) }} {{ s.endswith('') }} {{ ''.startswith('a') }}",
    "{{ 'aXbX'.replace('X', '-') }} {{ 'aXbX'.replace('X', '-', 1) }} {{ 'ab'.replace('', '.') }}", "{{ s.upper() }} {{ s.lower() }} {{ 'hello wORLD it\\'s'.title() }} {{ 'hELLO'.capitalize() }}", "{{ s.find('W') }} {{ s.find('zz') }} {{ 'aba'.rfind('a') }} {{ '\u00e9ab'.index('b') }} {{ 'banana'.count('a') }} {{ 'ab'.count('') }}",
    "{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ ''.isdigit() }} {{ 'AB'.isupper() }} {{ 'ab1'.islower() }} {{ '1'.isupper() }}", "{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('bc') }} {{ 'abc'.removeprefix('z') }}", "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('=') }} {{ 'abc'.rpartition('=') }}",
    "[{{ 'a'.ljust(3) }}][{{ 'a'.rjust(3, '.') }}][{{ 'ab'.center(5, '-') }}][{{ 'a'.center(4) }}][{{ '7'.zfill(3) }}][{{ '-7'.zfill(4) }}]", "{{ '{} and {}'.format(1, 'x') }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{k}'.format(k=5) }} {{ '{{}}'.format() }}", "{{ ', '.join(words) }} {{ ''.join([]) }} {{ '-'.join('abc') }}",
    "{{ xs.index(1) }} {{ xs.count(3) }} {{ (1, 2, 1).count(1) }} {{ xs.copy() }}", "{{ d.copy() == d }} {{ d.get('nested').get('x') }} {{ d.values() | list | length }} {% for k in d.keys() %}{{ k }}{% endfor %}", "{{ message.content.split('x') if message is defined else 'none' }}", "{% set parts = s.split(',') %}{{ parts[0] | trim }}{{ parts | length }}{% set f = s.upper %}{{ f() }}",
]
REFUSALS = [
    "{{ raise_exception('no ' ~ n) }}", "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('Tools are not supported') }}{% endif %}{% endfor %}",
]
# jinja2 fails on these, and so must the program.
ERRORS = [
    "{{ missing.x }}", "{{ missing[0] }}", "{{ missing() }}", "{{ missing + 1 }}", "{{ 'a' + 1 }}", "{{ 'a' + nil }}", "{{ [1] + (1,) }}", "{{ nil.x.y }}", "{{ 1 < 'a' }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ n() }}", "{{ xs.append(1) }}", "{{ d.update({}) }}", "{{ nil | length }}", "{{ n | length }}",
    "{% for x in n %}{% endfor %}", "{% for x in nil %}{% endfor %}", "{{ 'a' | nofilter }}", "{{ 1 is notest }}", "{% foo %}", "{% if t %}", "{% endif %}", "{{ n", "{% for x in xs %}", "{{ 'abc }}", "{{ (1 }}", "{{ 1 + }}", "{{ missing | tojson }}", "{{ missing | int }}", "{{ s.nomethod() }}", "{{ '' | trim(1, 2) }}",
    "{% set n.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(z=1) }}", "{% macro m(a=1, b) %}{% endmacro %}", "{% set a, b = [1, 2, 3] %}", "{{ range(10 ** 6) }}", "{{ 'x'.join([1]) }}", "{{ {[1]: 2} }}", "{{ s.index('zz') }}", "{{ d.__class__.x }}",
    "{{ '%d' % 'x' }}", "{{ '%s %s' % 'x' }}", "{{ [1, 'a'] | sort }}", "{{ -nil }}", "{{ xs['a':] }}", "{{ xs[::0] }}", "{# open", "{% break %}", "{{ a b }}", "{{ f(a=1, 2) }}", "{{ (xs | map('string')) | length }}", "{{ ''.split('') }}", "{% macro w() %}{% endmacro %}{% call w() %}{% endcall %}", "{{ 1 in 5 }}", "{{ 1 in 'a' }}",
    "{{ 'abc' | truncate(2) }}", "{{ [1, 'a'] | groupby(0) | length }}", "{{ people | groupby('a') }}", "{{ xs | groupby('zz') }}", "{{ xs | slice(0) | list }}", "{{ [1] | urlencode }}", "{{ 'ab' | groupby }}",
    "{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}",
]
SNIPPETS = WHITE_SPACE + EXPRESSIONS + TESTS + STATEMENTS + FILTERS + METHODS
