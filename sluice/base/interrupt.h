// Ctrl-C, SIGTERM and a lost terminal (SIGHUP) as a question that a long job asks between its steps, or as the end of everything else.
#pragma once

namespace sluice {

inline constexpr int kInterruptedStatus = 130;

// From now on SIGINT, SIGTERM and SIGHUP end the program at once with kInterruptedStatus, while a model is still loading for instance.
// SIGHUP stays ignored where it was: so nohup asks. Once, by main; needs nothing that a constructor sets up.
void exit_on_interrupt();

// While it lives, the three signals only set a flag; a second one ends the program at once, as the signal itself would. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();  // the signals end the program again, as exit_on_interrupt has it
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  bool interrupted() const;
};

// Writes to a pipe that nobody reads any more fail from now on instead of ending the program: a job that takes hours and writes its own
// log outlives the `head`, the `tee` or the connection that showed it.
void outlive_readers();

// Thrown after an interrupted job has saved what it should: exit status kInterruptedStatus.
struct Interrupted {};

}  // namespace sluice
