#include "apps/recoverd_backup/sources/source.h"

#include <utility>

#include <recover/check.h>

#include "apps/recoverd_backup/sources/git_source.h"
#include "apps/recoverd_backup/sources/mysql_source.h"
#include "apps/recoverd_backup/sources/postgres_source.h"
#include "apps/recoverd_backup/sources/redis_source.h"
#include "apps/recoverd_backup/sources/sqlite_source.h"
#include "base/overloaded.h"

namespace recover::apps {

std::unique_ptr<Source> make_source(const core::NativeSource& source, std::string scratch,
                                    std::stop_token stop) {
  using Made = std::unique_ptr<Source>;
  return std::visit(
      base::Overloaded{
          [](const std::monostate&) -> Made {
            RECOVER_CHECK(false && "a source that is none");
            return nullptr;
          },
          [&](const core::PostgresSource& one) -> Made { return make_postgres_source(one, stop); },
          [&](const core::MysqlSource& one) -> Made { return make_mysql_source(one, stop); },
          [&](const core::RedisSource& one) -> Made { return make_redis_source(one, stop); },
          [&](const core::SqliteSource& one) -> Made {
            return make_sqlite_source(one, std::move(scratch), stop);
          },
          [&](const core::GitSource& one) -> Made {
            return make_git_source(one, std::move(scratch), stop);
          }},
      source);
}

}  // namespace recover::apps
