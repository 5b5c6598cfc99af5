// The tables of every map a file may hold: the one description of the configuration's keys.
#pragma once

#include "config/draft.h"
#include "config/table.h"

namespace recover::config {

const Table<ProbeDraft>& probe_table();
const Table<ServiceDraft>& service_table();
// Of `run:`: rights, limits and shares of its processes.
const Table<core::ExecutionPolicy>& execution_table();
// Its `ionice:`.
const Table<core::IoPriority>& ionice_table();
const Table<core::SocketPolicy>& socket_table();
// One document of a playbook file.
const Table<PlaybookDraft>& playbook_table();
// The file itself.
const Table<Draft>& root_table();

}  // namespace recover::config
