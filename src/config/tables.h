// The tables of every map a file may hold: the one description of the configuration's keys.
#pragma once

#include "config/draft.h"
#include "config/table.h"

namespace recover::config {

const Table<ProbeDraft>& probe_table();
const Table<ServiceDraft>& service_table();
// One document of a playbook file.
const Table<PlaybookDraft>& playbook_table();
// The file itself.
const Table<Draft>& root_table();

}  // namespace recover::config
