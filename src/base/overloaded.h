// std::visit with one lambda an alternative; a forgotten one does not compile.
#pragma once

namespace recover::base {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace recover::base
