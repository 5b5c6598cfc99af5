// Bytes are an XML-RPC call as it comes from a socket, or choose the pieces of one: whatever they
// are, reading ends, a refusal says why, and what was read can be written within bounds.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "api/xmlrpc/base64.h"
#include "api/xmlrpc/codec.h"
#include "script.h"

namespace recover::api::xmlrpc {
namespace {

using test::require;

void check(const std::string& xml) {
  const auto call = read_call(xml);
  if (!call) {
    require(!call.error().empty(), "a refusal says why");
    return;
  }
  require(!call->method.empty(), "a call has a method");
  const std::string answer = write(Value(call->parameters));
  require(answer.ends_with("</methodResponse>\n"), "an answer is whole");
  require(answer.find("<!DOCTYPE") == std::string::npos, "what was said does not become markup");
}

// Pieces of calls: bytes that choose among them reach deeper than bytes that must spell them.
std::string assembled(const std::uint8_t* data, std::size_t size) {
  constexpr std::string_view kPieces[] = {"<value>",
                                          "</value>",
                                          "<array><data>",
                                          "</data></array>",
                                          "<struct>",
                                          "</struct>",
                                          "<member>",
                                          "</member>",
                                          "<name>n</name>",
                                          "<int>-7</int>",
                                          "<i8>9</i8>",
                                          "<double>1e9</double>",
                                          "<boolean>1</boolean>",
                                          "<string>&lt;&#1;",
                                          "</string>",
                                          "<base64>YWI=</base64>",
                                          "x",
                                          "&a;"};
  std::string xml = "<methodCall><methodName>m</methodName><params><param>";
  for (std::size_t i = 0; i < size; ++i) xml += kPieces[data[i] % std::size(kPieces)];
  return xml + "</param></params></methodCall>";
}

}  // namespace
}  // namespace recover::api::xmlrpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace recover::api::xmlrpc;  // NOLINT(google-build-using-namespace): one function.
  const std::string text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(assembled(data, size));
  static_cast<void>(from_base64(text));
  return 0;
}
