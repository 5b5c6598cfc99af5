// MySQL and MariaDB by their own dump program, in one transaction: one file, consistent over all
// databases that are in InnoDB. Tables of other engines are dumped as they are at that moment.
#pragma once

#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

std::unique_ptr<Source> make_mysql_source(const core::MysqlSource& source, std::stop_token stop);

}  // namespace recover::apps
