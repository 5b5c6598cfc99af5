// What comes over the wire: calls of real clients, damaged ones, hostile ones.
#include "api/xmlrpc/codec.h"

#include <gtest/gtest.h>

#include <string>

#include "api/xmlrpc/base64.h"

namespace recover::api::xmlrpc {
namespace {

// As Python's xmlrpc.client writes it.
constexpr std::string_view kCall = R"(<?xml version='1.0'?>
<methodCall>
<methodName>system.multicall</methodName>
<params>
<param>
<value><array><data>
<value><struct>
<member>
<name>methodName</name>
<value><string>supervisor.startProcess</string></value>
</member>
<member>
<name>params</name>
<value><array><data>
<value>web&lt;&#38;</value>
<value><boolean>0</boolean></value>
<value><int>-7</int></value>
<value><double>1.5</double></value>
<value><base64>YWI=</base64></value>
</data></array></value>
</member>
</struct></value>
</data></array></value>
</param>
</params>
</methodCall>
)";

TEST(XmlRpcCodec, ReadsACall) {
  const auto call = read_call(kCall);
  ASSERT_TRUE(call.has_value()) << call.error();
  EXPECT_EQ(call->method, "system.multicall");
  ASSERT_EQ(call->parameters.size(), 1U);
  const Array* calls = call->parameters[0].items();
  ASSERT_TRUE(calls != nullptr && calls->size() == 1);
  EXPECT_EQ(*calls->front().member("methodName")->text(), "supervisor.startProcess");
  const Array* params = calls->front().member("params")->items();
  ASSERT_TRUE(params != nullptr && params->size() == 5);
  EXPECT_EQ(*(*params)[0].text(), "web<&");
  EXPECT_EQ(std::get<bool>((*params)[1].is), false);
  EXPECT_EQ(std::get<std::int64_t>((*params)[2].is), -7);
  EXPECT_DOUBLE_EQ(std::get<double>((*params)[3].is), 1.5);
  EXPECT_EQ(*(*params)[4].text(), "ab");
}

TEST(XmlRpcCodec, ReadsACallWithoutParameters) {
  const auto call = read_call("<methodCall><methodName>a.b</methodName></methodCall>");
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->method, "a.b");
  EXPECT_TRUE(call->parameters.empty());
}

TEST(XmlRpcCodec, EveryPrefixOfACallIsRefused) {
  const std::size_t end = kCall.rfind('>');
  for (std::size_t size = 0; size < end; ++size) {
    EXPECT_FALSE(read_call(kCall.substr(0, size)).has_value()) << size;
  }
}

TEST(XmlRpcCodec, RefusesWhatIsNoCall) {
  const std::string deep = [] {
    std::string text = "<methodCall><methodName>x</methodName><params><param>";
    for (int i = 0; i < 40; ++i) text += "<value><array><data>";
    return text;
  }();
  const std::string many = [] {
    std::string text = "<methodCall><methodName>x</methodName><params><param><value><array><data>";
    for (int i = 0; i < 60'000; ++i) text += "<value><i4>1</i4></value>";
    return text + "</data></array></value></param></params></methodCall>";
  }();
  const std::pair<std::string, std::string_view> bad[] = {
      {"<!DOCTYPE x [<!ENTITY a 'b'>]><methodCall><methodName>&a;</methodName></methodCall>",
       "document type"},
      {"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><methodCall/>", "document type"},
      {deep, "too deep"},
      {many, "too many"},
      {"<methodResponse/>", "no place"},
      {"<methodCall><value/></methodCall>", "no place"},
      {"<methodCall><params/></methodCall>", "no method"},
      {"<methodCall><methodName>x</methodName><params><param/></params></methodCall>", "one value"},
      {"<methodCall><methodName>x</methodName><params><param><value><int>1x</int></value></param>"
       "</params></methodCall>",
       "is no int"},
      {"<methodCall><methodName>x</methodName><params><param><value><boolean>2</boolean></value>"
       "</param></params></methodCall>",
       "is no boolean"},
      {"<methodCall><methodName>x</methodName><params><param><value><nil/></value></param></params>"
       "</methodCall>",
       "no place"},
      {"", "not well-formed"},
      {"\xff\xfe", "not well-formed"},
  };
  for (const auto& [xml, why] : bad) {
    const auto call = read_call(xml);
    ASSERT_FALSE(call.has_value()) << xml.substr(0, 100);
    EXPECT_NE(call.error().find(why), std::string::npos) << call.error();
  }
}

TEST(XmlRpcCodec, WritesAnAnswer) {
  const std::string xml = write(Value(Struct{{"a<", 1},
                                             {"b", true},
                                             {"c", Array{Value("x\x01\xff&\r"), Value(2.5)}},
                                             {"d", std::int64_t{1} << 40}}));
  EXPECT_NE(xml.find("<name>a&lt;</name>"), std::string::npos) << xml;
  EXPECT_NE(xml.find("<string>x??&amp;&#13;</string>"), std::string::npos) << xml;
  EXPECT_NE(xml.find("<boolean>1</boolean>"), std::string::npos);
  EXPECT_NE(xml.find("<double>2.5</double>"), std::string::npos);
  EXPECT_NE(xml.find("<int>2147483647</int>"), std::string::npos);
}

TEST(XmlRpcCodec, WritesAFault) {
  const std::string xml = write(Unexpected<Fault>(fault(Code::BadName, "web")));
  EXPECT_NE(xml.find("<int>10</int>"), std::string::npos) << xml;
  EXPECT_NE(xml.find("<string>BAD_NAME: web</string>"), std::string::npos) << xml;
}

TEST(XmlRpcCodec, Base64) {
  EXPECT_EQ(from_base64("dXNlcjpwYXNz"), "user:pass");
  EXPECT_EQ(from_base64("YQ=="), "a");
  EXPECT_EQ(from_base64("YW\nI="), "ab");
  EXPECT_EQ(from_base64(""), "");
  EXPECT_EQ(from_base64("Y"), std::nullopt);
  EXPECT_EQ(from_base64("Y Q==x"), std::nullopt);
  EXPECT_EQ(from_base64("\xff"), std::nullopt);
}

}  // namespace
}  // namespace recover::api::xmlrpc
