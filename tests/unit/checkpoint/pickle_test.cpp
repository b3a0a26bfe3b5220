#include "sluice/checkpoint/pickle.h"

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "scratch.h"
#include "sluice/checkpoint/pickle_writer.h"

namespace sluice::checkpoint {
namespace {

using Kind = PickleValue::Kind;
using namespace std::string_literals;

// As Python's repr(), with objects as NAME(arguments)=state. `budget` ends walks over values that repeat each other.
std::string repr(const PickleValue& value, int& budget) {
  if (--budget < 0) return "...";
  const auto list = [&](const char* open, const char* close) {
    std::string text = open;
    for (std::size_t i = 0; i < value.items.size(); ++i) text += (i ? ", " : "") + repr(*value.items[i], budget);
    return text + (value.is(Kind::kTuple) && value.items.size() == 1 ? "," : "") + close;
  };
  switch (value.kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.integer ? "True" : "False";
    case Kind::kInt:
      return std::to_string(value.integer);
    case Kind::kFloat: {
      char text[32];
      std::snprintf(text, sizeof text, "%.17g", value.real);
      return text;
    }
    case Kind::kString:
      return "'" + std::string(value.text) + "'";
    case Kind::kBytes:
      return "b'" + std::string(value.text) + "'";
    case Kind::kList:
      return list("[", "]");
    case Kind::kTuple:
      return list("(", ")");
    case Kind::kSet:
      return list("{", "}");
    case Kind::kDict: {
      std::string text = "{";
      for (std::size_t i = 0; i < value.items.size(); i += 2)
        text += (i ? ", " : "") + repr(*value.items[i], budget) + ": " + repr(*value.items[i + 1], budget);
      return text + "}" + (value.state ? "=" + repr(*value.state, budget) : "");
    }
    case Kind::kObject:
      return std::string(value.text) + list("(", ")") + (value.state ? "=" + repr(*value.state, budget) : "");
    case Kind::kLong:
    case Kind::kGlobal:
    case Kind::kPersistent:
      return describe(value);
  }
  return "?";
}

// Reads from a heap block of exactly the pickle's size: address sanitizer then sees a read of one byte too many.
std::string read(const std::string& bytes) {
  const std::unique_ptr<std::byte[]> block(new std::byte[bytes.size()]);
  std::memcpy(block.get(), bytes.data(), bytes.size());
  const Pickle pickle({block.get(), bytes.size()}, "a.pkl");
  EXPECT_LE(pickle.num_bytes(), bytes.size());
  int budget = 10'000;
  return repr(pickle.root(), budget);
}

std::string read_file_of(const fs::path& path) { return read(read_file(path)); }

// pickle.dumps((1, -70000, 2.5, 'é', b'\xff', [True, None], {'a': ()}, {3}), protocol) of Python 3.11; bytes escape as they are.
TEST(Pickle, ReadsPythonsPlainValuesInEveryProtocol) {
  const std::string two =
      "\x80\x02(K\x01J\x90\xee\xfe\xffG@\x04\0\0\0\0\0\0X\x02\0\0\0\xc3\xa9q\0c_"
      "codecs\nencode\nq\x01X\x02\0\0\0\xc3\xbfq\x02X\x06\0\0\0latin1q\x03\x86q\x04Rq\x05]q\x06(\x88Ne}q\x07X\x01\0\0\0aq\x08)sc__builtin__"
      "\nset\nq\t]q\nK\x03"
      "a\x85q\x0bRq\x0ctq\r."s;
  EXPECT_EQ(read(two), "(1, -70000, 2.5, '\xc3\xa9', b'\xff', [True, None], {'a': ()}, {3})");
  const std::string four =
      "\x80\x04\x95\x3a\0\0\0\0\0\0\0(K\x01J\x90\xee\xfe\xffG@\x04\0\0\0\0\0\0\x8c\x02\xc3\xa9\x94"
      "C\x01\xff\x94]\x94(\x88Ne}\x94\x8c\x01"
      "a\x94)s\x8f\x94(K\x03\x90t\x94."s;
  EXPECT_EQ(read(four), read(two));
}

TEST(Pickle, ReadsIntegersOfEverySize) {
  EXPECT_EQ(read("\x80\x02M\xff\xff."s), "65535");
  EXPECT_EQ(read("\x80\x02\x8a\0."s), "0");
  EXPECT_EQ(read("\x80\x02\x8a\x05\0\0\0\0\x80."s), "-549755813888");
  EXPECT_EQ(read("\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."s), "9223372036854775807");
  EXPECT_EQ(read("\x80\x02\x8a\x09\0\0\0\0\0\0\0\x80\0."s), "a number of 9 bytes");
}

TEST(Pickle, KeepsObjectsByNameArgumentsAndState) {
  EXPECT_EQ(read("\x80\x02"
                 "cargparse\nNamespace\n)\x81}X\x01\0\0\0aK\x05sb."s),
            "argparse.Namespace()={'a': 5}");
  EXPECT_EQ(read("\x80\x02"
                 "cmegatron.core.enums\nModelType\nK\x01\x85R."s),
            "megatron.core.enums.ModelType(1)");
  EXPECT_EQ(read("\x80\x02"
                 "ctorch\nSize\nK\x03K\x04\x86\x85R."s),
            "(3, 4)");
  EXPECT_EQ(read("\x80\x02"
                 "ccollections\nOrderedDict\n)R(K\x01K\x02u}X\x01\0\0\0mNsb."s),
            "{1: 2}={'m': None}");
  EXPECT_EQ(read("\x80\x02"
                 "cpathlib\nPosixPath\n)}\x92."s),
            "pathlib.PosixPath({})");
}

TEST(Pickle, SharesWhatTheMemoNamesTwice) {
  EXPECT_EQ(read("\x80\x02(]q\x00K\x07"
                 "ah\x00h\x00t."s),
            "([7], [7], [7])");
}

TEST(Pickle, FindsTheLastValueOfAKey) {
  const std::string bytes = "\x80\x02}(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02K\x03K\x04u."s;
  const Pickle pickle(std::as_bytes(std::span(bytes)), "a.pkl");
  ASSERT_NE(pickle.root().find("a"), nullptr);
  EXPECT_EQ(pickle.root().find("a")->integer, 2);
  EXPECT_EQ(pickle.root().find("b"), nullptr);
}

TEST(Pickle, ReadsWhatPickleWriterWrites) {
  PickleWriter out;
  out.mark();
  for (const std::int64_t number : {std::int64_t{0}, std::int64_t{255}, std::int64_t{256}, std::int64_t{-1}, INT64_MIN, INT64_MAX})
    out.integer(number);
  out.real(-0.1);
  out.text("a");
  out.text("a");
  out.boolean(1);
  out.tuple();
  EXPECT_EQ(read(out.finish()), "(0, 255, 256, -1, -9223372036854775808, 9223372036854775807, -0.10000000000000001, 'a', 'a', True)");
}

struct Hostile {
  const char* name;
  std::string bytes;
  const char* message;  // a part of it
};

std::string deep(int levels) {
  std::string bytes = "\x80\x02";
  for (int i = 0; i < levels; ++i) bytes += ']';
  for (int i = 1; i < levels; ++i) bytes += 'a';
  return bytes + '.';
}

// Each list holds the one before it ten times over.
std::string laughs() {
  std::string bytes = "\x80\x02]q\x01"s;
  for (char level = 2; level < 40; ++level) {
    bytes += "]("s;
    for (int i = 0; i < 10; ++i) bytes += "h"s + static_cast<char>(level - 1);
    bytes += "eq"s + level;
  }
  return bytes + '.';
}

// One long tuple, made into a new object again and again.
std::string copies() {
  std::string bytes =
      "\x80\x02"
      "cargparse\nNamespace\nq\x01("s;
  bytes.append(5000, 'N');
  bytes += "tq\x02"s;
  for (int i = 0; i < 5000; ++i) bytes += "h\x01h\x02R0"s;
  return bytes + '.';
}

std::string texts() {
  std::string bytes =
      "\x80\x02"
      "c_codecs\nencode\nq\x01X\x88\x13\0\0"s +
      std::string(5000, 'a') + "X\x06\0\0\0latin1\x86q\x02"s;
  for (int i = 0; i < 5000; ++i) bytes += "h\x01h\x02R0"s;
  return bytes + '.';
}

std::vector<Hostile> hostile_pickles() {
  return {
      {"Empty", "", "ends too early"},
      {"NoStop", "\x80\x02N", "ends too early"},
      {"OldProtocol", "\x80\x01N.", "protocol 1"},
      {"FutureProtocol", "\x80\x06N.", "protocol 6"},
      {"TextOpcode", "\x80\x02I01\n.", "the opcode 73"},
      {"Extension", "\x80\x02\x82\x01.", "the opcode 130"},
      {"OutOfBandBuffer", "\x80\x05\x97.", "the opcode 151"},
      {"CallsTheShell",
       "\x80\x02"
       "cos\nsystem\nX\x02\0\0\0ls\x85R."s,
       "asks for \"os.system\""},
      {"CallsEval",
       "\x80\x02"
       "c__builtin__\neval\nX\x01\0\0\0001\x85R."s,
       "asks for \"__builtin__.eval\""},
      {"NameByStack", "\x80\x04\x8c\x02os\x8c\x06system\x93."s, "asks for \"os.system\""},
      {"NameWithEscapes",
       "\x80\x02"
       "cos\n\x1b[2J\n."s,
       "asks for \"os.\\u001b[2J\""},
      {"NameOfNumbers", "\x80\x04K\x01K\x02\x93.", "a name that is not text"},
      {"NameWithoutEnd",
       "\x80\x02"
       "cos",
       "a name without an end"},
      {"CallsANumber", "\x80\x02K\x01)R.", "calls the number 1"},
      {"CallsAnObject",
       "\x80\x02"
       "cuuid\nUUID\n)R)R.",
       "calls an object"},
      {"ArgumentsAreAList",
       "\x80\x02"
       "cuuid\nUUID\n]R.",
       "a list of 0 for arguments"},
      {"StateOfANumber", "\x80\x02K\x01}b.", "gives a state to the number 1"},
      {"TwoStates",
       "\x80\x02"
       "cuuid\nUUID\n)R}b}b.",
       "a second state"},
      {"HugeText",
       "\x80\x02X\xff\xff\xff\xff"
       "abc.",
       "ends too early"},
      {"HugeBytes", "\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "ends too early"},
      {"HugeLong", "\x80\x02\x8b\xff\xff\xff\x7f.", "ends too early"},
      {"UnknownMemo", "\x80\x02h\x05.", "its value 5"},
      {"MemoOfNothing", "\x80\x02q\x00."s, "where there is none"},
      {"AppendToANumber",
       "\x80\x02K\x01K\x02"
       "a.",
       "adds an item to the number 1"},
      {"KeysInAList", "\x80\x02](K\x01K\x02u.", "adds keys to a list of 0"},
      {"KeyWithoutAValue", "\x80\x02}(K\x01u.", "a key without a value"},
      {"NoMark", "\x80\x02K\x01t.", "where none began"},
      {"TakesAcrossAMark", "\x80\x02](a.", "where there is none"},
      {"LeftOver", "\x80\x02K\x01K\x02.", "values left over"},
      {"OpenMark", "\x80\x02(.", "where there is none"},
      {"HoldsItself",
       "\x80\x02]q\x01h\x01"
       "a.",
       "one that is complete"},
      {"HoldsItselfInATuple",
       "\x80\x02]q\x01(h\x01t"
       "a.",
       "one that is complete"},
      {"GrowsAfterwards",
       "\x80\x02]q\x01\x85h\x01K\x01"
       "a\x86.",
       "one that is complete"},
      {"Deep", deep(65), "deeper than 64 levels"},
      {"VeryDeep", deep(100'000), "deeper than 64 levels"},
      {"BillionLaughs", laughs(), "without measure"},
      {"CopiesWithoutEnd", copies(), "without measure"},
      {"TextsWithoutEnd", texts(), "its texts without measure"},
      {"SetOfANumber",
       "\x80\x02"
       "c__builtin__\nset\nK\x01\x85R.",
       "not one list"},
      {"DictOfANumber",
       "\x80\x02"
       "ccollections\nOrderedDict\nK\x01\x85R.",
       "makes a dict of the number 1"},
      {"DictOfSingles",
       "\x80\x02"
       "ccollections\nOrderedDict\n]K\x01\x85"
       "a\x85R.",
       "makes a dict of a tuple of 1"},
      {"EncodesANumber",
       "\x80\x02"
       "c_codecs\nencode\nK\x01\x85R.",
       "encodes the number 1"},
      {"EncodesWideText",
       "\x80\x02"
       "c_codecs\nencode\nX\x03\0\0\0\xe2\x82\xac\x85R."s,
       "not one a character"},
      {"EncodesHalfACharacter",
       "\x80\x02"
       "c_codecs\nencode\nX\x01\0\0\0\xc3\x85R."s,
       "not one a character"},
  };
}

TEST(Pickle, RefusesEveryHostilePickleWithARemedy) {
  for (const Hostile& hostile : hostile_pickles()) {
    SCOPED_TRACE(hostile.name);
    const std::string message = error_of([&] { read(hostile.bytes); });
    EXPECT_NE(message.find(hostile.message), std::string::npos) << message;
    EXPECT_NE(message.find("\n  fix: "), std::string::npos) << message;
    EXPECT_EQ(message.find('\x1b'), std::string::npos) << "control characters reach the terminal";
  }
}

TEST(Pickle, AllowsItsOwnLimitOfDepth) { EXPECT_EQ(read(deep(64)).size(), 128u); }

TEST(Pickle, EveryFlippedBitAndEveryTruncationIsReadOrRefusedWithoutACrash) {
  const std::string whole =
      "\x80\x02"
      "cargparse\nNamespace\nq\x01)\x81}q\x02(X\x01\0\0\0aq\x03](K\x05J\x90\xee\xfe\xff\x8a\x02\x01\x02G@\x04\0\0\0\0\0\0eX\x01\0\0\0bctorch\nSize\n(K\x03K\x04t\x85RX\x01\0\0\0c\x88h\x03\x86Qub."s;
  EXPECT_NE(read(whole).find("argparse.Namespace()={'a': [5, -70000, 513, 2.5], 'b': (3, 4), "), std::string::npos) << read(whole);
  int num_refused = 0;
  const auto attempt = [&](const std::string& damaged) {
    try {
      read(damaged);
    } catch (const Error&) {
      ++num_refused;
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) attempt(whole.substr(0, size));
  EXPECT_EQ(num_refused, static_cast<int>(whole.size()));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    attempt(damaged);
  }
  EXPECT_GT(num_refused, 600);  // what is left changes a number, a letter of a text or a reference
}

// tests/parity/test_torch_dist.py gives pickles of Python itself and compares what is printed.
TEST(Pickle, PrintsWhatPythonWrote) {
  const char* const folder = std::getenv("SLUICE_PICKLES");
  if (!folder) GTEST_SKIP() << "SLUICE_PICKLES names no folder";
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".pkl") put_file(fs::path(entry.path()).replace_extension(".txt"), read_file_of(entry.path()));
  }
}

}  // namespace
}  // namespace sluice::checkpoint
