#include "backup/repo/index_records.h"

#include <algorithm>
#include <queue>
#include <utility>

#include <recover/check.h>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr std::size_t kBufferedRecords = 4096;

bool by_id(const IndexRecord& a, const IndexRecord& b) {
  return a.id < b.id;
}

View bytes_of(const std::vector<IndexRecord>& records) {
  return {reinterpret_cast<const std::uint8_t*>(records.data()),
          records.size() * sizeof(IndexRecord)};
}

// Some records of a merge that are left, in order.
struct MergeSource {
  const IndexRecords* records = nullptr;
  std::size_t next = 0;
  std::size_t end = 0;

  const IndexRecord& head() const { return (*records)[next]; }
};

struct HeadIsLater {
  bool operator()(const MergeSource& a, const MergeSource& b) const {
    return b.head().id < a.head().id;
  }
};

}  // namespace

// IDs are evenly spread: the place is known to within a few times the square root of their number.
std::size_t IndexRecords::first_of(const Digest& id) const {
  constexpr std::size_t kFirstStep = 256;
  std::uint32_t top = 0;
  for (std::size_t i = 0; i < sizeof top; ++i) top = top << 8U | id.bytes[i];
  const std::size_t guess = static_cast<std::size_t>(top) * count_ >> 32U;
  if (count_ == 0) return 0;
  // IDs are spread evenly: the guess is off by a few hundred of a million, and each probe further
  // away is another page.
  std::size_t step = kFirstStep;
  std::size_t low = std::min(guess, count_ - 1);
  std::size_t high = low;
  if ((*this)[low].id < id) {
    ++low;
    while (low + step < count_ && (*this)[low + step].id < id) {
      low += step + 1;
      step *= 2;
    }
    high = std::min(count_, low + step);
  } else {
    while (high > step && !((*this)[high - step].id < id)) {
      high -= step;
      step *= 2;
    }
    low = high > step ? high - step + 1 : 0;
  }
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if ((*this)[middle].id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void RecordSorter::add(const IndexRecord& record) {
  if (run_.size() >= kRunRecords && !in_memory_) in_memory_ = !spill();
  run_.push_back(record);
}

bool RecordSorter::spill() {
  if (!file_ && !folder_.empty()) file_ = open_nameless(folder_);
  if (!file_) return false;
  std::sort(run_.begin(), run_.end(), by_id);
  if (!write_all(file_.get(), bytes_of(run_))) return false;
  written_ += run_.size();
  ends_.push_back(written_);
  run_.clear();
  return true;
}

IndexRecords RecordSorter::finish(const IndexRecords& before) {
  const bool fits = written_ == 0 && before.size() + run_.size() <= 2 * kRunRecords;
  if (!fits && !in_memory_ && !folder_.empty()) {
    if (auto merged = merge(before)) {
      *this = RecordSorter(std::exchange(folder_, {}));
      return std::move(*merged);
    }
  }
  // What is in the file goes back into memory: there is no other place for it.
  std::vector<IndexRecord> all;
  all.reserve(before.size() + size());
  for (std::size_t i = 0; i < before.size(); ++i) all.push_back(before[i]);
  if (written_ > 0) {
    const std::size_t at = all.size();
    all.resize(at + written_);
    auto* const bytes = reinterpret_cast<std::uint8_t*>(all.data() + at);
    const std::size_t wanted = written_ * sizeof(IndexRecord);
    const ssize_t got = read_up_to(file_.get(), 0, {bytes, wanted});
    RECOVER_CHECK(got == static_cast<ssize_t>(wanted));
  }
  all.insert(all.end(), run_.begin(), run_.end());
  std::sort(all.begin(), all.end(), by_id);
  *this = RecordSorter(std::exchange(folder_, {}));
  return IndexRecords(std::move(all));
}

std::optional<IndexRecords> RecordSorter::merge(const IndexRecords& before) {
  std::sort(run_.begin(), run_.end(), by_id);
  const IndexRecords last(run_);
  IndexRecords spilled;
  if (written_ > 0) {
    auto region =
        MappedRegion::map(file_.get(), written_ * sizeof(IndexRecord), MappedRegion::Access::Read);
    if (!region) return std::nullopt;
    spilled = IndexRecords(std::move(*region), 0, written_);
  }
  std::priority_queue<MergeSource, std::vector<MergeSource>, HeadIsLater> heads;
  const auto begin = [&](const IndexRecords& records, std::size_t from, std::size_t to) {
    if (from < to) heads.push({.records = &records, .next = from, .end = to});
  };
  begin(before, 0, before.size());
  begin(last, 0, last.size());
  std::size_t from = 0;
  for (const std::size_t end : ends_) begin(spilled, std::exchange(from, end), end);

  const posix::Descriptor out = open_nameless(folder_);
  if (!out) return std::nullopt;
  std::vector<IndexRecord> buffer;
  buffer.reserve(kBufferedRecords);
  const std::size_t count = before.size() + size();
  while (!heads.empty()) {
    MergeSource source = heads.top();
    heads.pop();
    buffer.push_back(source.head());
    if (++source.next < source.end) heads.push(source);
    if (buffer.size() < kBufferedRecords && !heads.empty()) continue;
    if (!write_all(out.get(), bytes_of(buffer))) return std::nullopt;
    buffer.clear();
  }
  auto region =
      MappedRegion::map(out.get(), count * sizeof(IndexRecord), MappedRegion::Access::Read);
  if (!region) return std::nullopt;
  return IndexRecords(std::move(*region), 0, count);
}

}  // namespace recover::backup
