#include "api/problem.h"

#include <boost/json.hpp>

#include <cctype>

namespace recover::api {

namespace json = boost::json;

namespace {

// "SERVICE_NOT_FOUND" -> "service-not-found"
std::string slug(std::string_view code) {
  std::string text(code);
  for (char& c : text) {
    c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

// "service-not-found" -> "Service not found"
std::string title(std::string text) {
  for (char& c : text) {
    if (c == '-') c = ' ';
  }
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

json::object document(unsigned status, std::string_view code, std::string_view detail) {
  const std::string name = slug(code);
  json::object body;
  body["type"] = "urn:recoverd:problem:" + name;
  body["title"] = title(name);
  body["status"] = status;
  body["code"] = code;
  body["detail"] = detail;
  return body;
}

Response answer(unsigned status, const json::object& body) {
  Response response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body = json::serialize(body);
  return response;
}

// The published code of a refusal by that rule.
std::string_view code_of(core::Rule rule) {
  if (rule == core::Rule::ServiceBreaker || rule == core::Rule::PlaybookBreaker) {
    return "CIRCUIT_OPEN";
  }
  return "REFUSED";
}

}  // namespace

Response problem(unsigned status, std::string_view code, std::string_view detail) {
  return answer(status, document(status, code, detail));
}

Response refusal(const core::Reason& reason) {
  constexpr unsigned kRefused = 409;
  json::object body = document(kRefused, code_of(reason.rule), reason.detail);
  body["rule"] = core::to_string(reason.rule);
  body["verdict"] = core::to_string(reason.verdict);
  return answer(kRefused, body);
}

Response configuration_problem(const std::vector<std::string>& mistakes) {
  constexpr unsigned kUnprocessable = 422;
  json::object body = document(kUnprocessable, "CONFIGURATION_INVALID",
                               "the configuration has " + std::to_string(mistakes.size()) +
                                   " mistake(s); nothing was changed");
  json::array errors;
  for (const std::string& mistake : mistakes) {
    json::object error;
    error["detail"] = mistake;
    errors.push_back(std::move(error));
  }
  body["errors"] = std::move(errors);
  return answer(kUnprocessable, body);
}

Response not_available(std::string_view what) {
  return problem(501, "NOT_AVAILABLE", std::string(what) + " is not part of this daemon");
}

}  // namespace recover::api
