// Templates against what Jinja gives (tests/parity/test_chat_templates.py compares with Jinja itself), and hostile ones.
#include <gtest/gtest.h>

#include "sluice/base/error.h"
#include "sluice/text/jinja/template.h"

namespace sluice::text::jinja {
namespace {

std::string rendered(const std::string& source, const OrderedJson& variables = OrderedJson::object()) {
  return Template(source, "test").render(variables).text;
}

std::string error_of(const std::string& source, const OrderedJson& variables = OrderedJson::object()) {
  try {
    return "no error but: " + rendered(source, variables).substr(0, 200);
  } catch (const Error& error) {
    return error.problem();
  }
}

TEST(Jinja, TrimsTheLineEndAfterABlockAndTheSpaceBeforeItOnItsLine) {
  EXPECT_EQ(rendered("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc");
  EXPECT_EQ(rendered("a\n  {{- 1 }}\n  {{ 2 -}}  b"), "a1\n  2b");
  EXPECT_EQ(rendered("{# c #}\nx {%- raw %} {{ y }} {% endraw -%}  z"), "x {{ y }} z");
}

TEST(Jinja, LoopsKnowTheirPlaceAndTheirNeighbours) {
  EXPECT_EQ(
      rendered(
          "{% for x in xs %}{{ loop.index }}{{ x }}{{ loop.previtem }}{{ loop.nextitem }}{% if not loop.last %},{% endif %}{% endfor %}",
          {{"xs", {"a", "b"}}}),
      "1ab,2ba");
  EXPECT_EQ(rendered("{% for x in [1, 2, 3, 4] if x is odd %}{{ x }}/{{ loop.length }} {% else %}none{% endfor %}"), "1/2 3/2 ");
  EXPECT_EQ(rendered("{% for x in [1, 2, 3] %}{% if x == 1 %}{% continue %}{% elif x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}"),
            "2");
}

TEST(Jinja, WhatALoopSetsEndsWithItAndWhatANamespaceHoldsStays) {
  EXPECT_EQ(rendered("{% set x = 0 %}{% set ns = namespace(x=0) %}{% for i in [1, 2] %}{% set x = x + i %}{% set ns.x = ns.x + i %}{% "
                     "endfor %}{{ x }}{{ ns.x }}"),
            "03");
}

TEST(Jinja, MacrosSeeTheNamesAroundThemAsTheyAreWhenCalled) {
  EXPECT_EQ(rendered("{% macro m(a, b='-') %}{{ a }}{{ b }}{{ n }}{% endmacro %}{% set n = 7 %}{{ m('x') }}{{ m(b=1, a=2) }}"), "x-7217");
  EXPECT_EQ(rendered("{% macro wrap() %}<{{ caller('in') }}>{% endmacro %}{% call(x) wrap() %}{{ x }}!{% endcall %}"), "<in!>");
}

TEST(Jinja, PrintsValuesAsPythonDoes) {
  EXPECT_EQ(rendered("{{ [1, 2.0, none, true, 'it\\'s', {'a': (1,)}] }}"), "[1, 2.0, None, True, \"it's\", {'a': (1,)}]");
  EXPECT_EQ(rendered("{{ 1e16 }} {{ 0.00001 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 1 / 4 }}"), "1e+16 1e-05 -4 2 0.25");
}

TEST(Jinja, ToJsonKeepsTheOrderOfKeysAndOtherCharactersThanAscii) {
  const OrderedJson variables = {{"d", {{"z", 1}, {"a", {"\u00e9", nullptr, 1.5}}}}};
  EXPECT_EQ(rendered("{{ d | tojson }}", variables), "{\"z\": 1, \"a\": [\"\u00e9\", null, 1.5]}");
  EXPECT_EQ(rendered("{{ d.a | tojson(ensure_ascii=true, indent=1) }}", variables), "[\n \"\\u00e9\",\n null,\n 1.5\n]");
}

TEST(Jinja, UndefinedPrintsNothingAndAnAttributeOfItIsAnErrorThatNamesIt) {
  EXPECT_EQ(rendered("[{{ x }}][{{ x is defined }}][{{ x | default('d') }}][{% for a in x %}a{% endfor %}]"), "[][False][d][]");
  EXPECT_EQ(error_of("a\nb {{ x.y }}"), "test, line 2: the template uses 'x', which is not defined");
  EXPECT_EQ(error_of("{{ d.k.l }}", {{"d", {{"a", 1}}}}), "test, line 1: the template uses 'k' of a dict, which has none");
}

TEST(Jinja, ARefusalCarriesTheTemplatesOwnMessage) {
  try {
    rendered("{{ raise_exception('no ' ~ 'way') }}");
    FAIL();
  } catch (const Refusal& refusal) {
    EXPECT_STREQ(refusal.what(), "no way");
  }
}

TEST(Jinja, WhatIsNotSupportedIsNamedWithItsLine) {
  EXPECT_NE(error_of("\n\n{% include 'x' %}").find("test, line 3: the tag {% include %} is not supported"), std::string::npos);
  EXPECT_NE(error_of("\n{{ 1 | uper }}").find("line 2: the template uses the filter 'uper', which is not supported (did you mean upper?)"),
            std::string::npos);
  EXPECT_NE(error_of("{{ 1 is tall }}").find("the test 'tall'"), std::string::npos);
  EXPECT_NE(error_of("{{ 'x'.encode() }}").find(".encode of a str"), std::string::npos);
  EXPECT_NE(error_of("{{ [1].append(2) }}").find("may not change"), std::string::npos);
}

TEST(Jinja, GenerationBlocksAreFoundInTheText) {
  const Template chat("{% for m in ms %}<{% generation %}{{ m }}{% endgeneration %}>{% endfor %}", "test");
  EXPECT_TRUE(chat.has_generation());
  const auto out = chat.render({{"ms", {"ab", "\u00e9"}}});
  EXPECT_EQ(out.text, "<ab><\u00e9>");
  ASSERT_EQ(out.generations.size(), 2U);
  EXPECT_EQ(out.text.substr(out.generations[1].begin, out.generations[1].end - out.generations[1].begin), "\u00e9");
}

// Each would run for ever, or take all memory or the whole stack.
TEST(Jinja, HostileTemplatesEndWithAnError) {
  const std::string many(100'000, '(');
  std::string deep = "{{ 1", nots = "{{ ", blocks, chain = "{{ 1";
  for (int i = 0; i < 100'000; ++i) {
    deep += " if 1 else (1";
    nots += "not ";
    blocks += "{% if 1 %}";
    chain += "+1";
  }
  const std::string sources[] = {
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('a') }}",
      "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{{ 'a' * 10000000000 }}",
      "{{ [0] * 10000000000 }}",
      "{{ 'x' | center(10000000000) }}",
      "{{ [] | slice(9223372036854775807) }}",
      "{{ [] | slice(20000000) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ range(100000000) }}",
      "{% set s = '\u00e9' * 1000000 %}{% for i in range(99999) %}{% set t = s.upper() %}{% endfor %}",
      "{{ 9 ** 9 ** 9 }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 99999999999999999999 }}",
      "{% set ns = namespace() %}{% for i in range(100000) %}{% set ns.f = cycler(ns.f, 1) %}{% endfor %}{% for i in range(100000) %}{{ "
      "range(1000) | join }}{% endfor %}",
      "{{ " + many,
      "{{ " + std::string(100'000, '[') + " }}",
      "{{ " + std::string(100'000, '-') + "1 }}",
      deep,
      nots + "1 }}",
      blocks,
      chain + " }}",
  };
  for (const std::string& source : sources)
    EXPECT_TRUE(error_of(source).starts_with("test")) << source.substr(0, 120) << "\n" << error_of(source);
}

TEST(Jinja, ANamespaceMayHoldItself) {
  EXPECT_EQ(rendered("{% set a = namespace() %}{% set a.a = a %}{% set a.x = 1 %}{{ a.a.a.x }}"), "1");
  EXPECT_EQ(
      rendered(
          "{% set ns = namespace() %}{% for i in [1, 2] %}{% macro f() %}{{ i }}{% endmacro %}{% set ns.f = f %}{% endfor %}{{ ns.f() }}"),
      "2");
}

// Every prefix of a template ends with an error or a text, as do templates with a byte changed.
TEST(Jinja, BrokenTemplatesAreErrors) {
  const std::string source =
      "{%- macro m(a, b=[1, {'k': -2.5}]) -%}{{ a ~ b[0:1] | tojson(indent=2) }}{%- endmacro -%}\n{% for x, y in d.items() if x is not "
      "none %}"
      "{{ loop.index }}{{ m(x, b=y if y else 'z') }}{# c #}{% set ns = namespace(q=1) %}{% set ns.q = 'a\\n' + \"b\" %}{% endfor %}{% raw "
      "%}{{{% endraw %}";
  const auto survive = [](const std::string& broken) {
    try {
      Template(broken, "test").render({{"d", {{"a", 1}}}});
    } catch (const Error&) {
    }
  };
  for (std::size_t length = 0; length <= source.size(); ++length) survive(source.substr(0, length));
  for (std::size_t at = 0; at < source.size(); ++at) {
    for (const char byte : {'{', '}', '%', '(', ')', '\'', '\\', ' ', '-', '9', '.', '|'}) {
      std::string changed = source;
      changed[at] = byte;
      survive(changed);
    }
  }
}

}  // namespace
}  // namespace sluice::text::jinja
