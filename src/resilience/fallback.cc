#include <algorithm>

#include <recover/fallback.h>

namespace recover::fallback {

bool unless_cancelled(const Error& error) noexcept {
  return error.classification().persistence != Persistence::Cancelled;
}

Predicate on_class(std::initializer_list<ErrorClass> classes) {
  return [wanted = std::vector<ErrorClass>(classes)](const Error& error) {
    return std::find(wanted.begin(), wanted.end(), error.classification().error_class) !=
           wanted.end();
  };
}

Predicate on_kind(std::initializer_list<ErrorKind> kinds) {
  return [wanted = std::vector<ErrorKind>(kinds)](const Error& error) {
    return std::find(wanted.begin(), wanted.end(), error.kind()) != wanted.end();
  };
}

Predicate on_persistence(std::initializer_list<Persistence> persistences) {
  return [wanted = std::vector<Persistence>(persistences)](const Error& error) {
    return std::find(wanted.begin(), wanted.end(), error.classification().persistence) !=
           wanted.end();
  };
}

}  // namespace recover::fallback
