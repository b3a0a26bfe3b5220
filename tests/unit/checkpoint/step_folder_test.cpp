#include "sluice/checkpoint/step_folder.h"

#include <sys/resource.h>

#include "scratch.h"
#include "sluice/checkpoint/sharded.h"

namespace sluice::checkpoint {
namespace {

const std::vector<float> kWeights(1000, 1.0f);

// A checkpoint as a trainer writes it: shards, the second of them noted by its rank, a file in a subfolder, state. Its content names `step`
// and `version`.
void save(const fs::path& run, std::int64_t step, const std::string& version = "", WriteObserver* observer = nullptr) {
  StepFolderWriter writer(run, step, 4096, observer);
  for (int rank = 0; rank < 2; ++rank) {
    write_shard(
        writer.folder(), rank, {{"w", DType::kF32, {2, 1000}, {{rank, 0}, {1, 1000}}}}, [](std::size_t) { return bytes_of(kWeights); },
        observer);
  }
  note_files(writer.folder(), {writer.folder() / "shard-00002-model-00001-of-00001.safetensors"}, "00002", observer);
  if (observer) observer->before(WriteObserver::Change::kCreate, writer.folder() / "optimizer");
  fs::create_directory(writer.folder() / "optimizer");
  writer.write_file("optimizer/state.bin", "moments");
  writer.write_file("trainer.json", step_name(step) + version);
  EXPECT_EQ(writer.commit(), checkpoints_folder(run) / step_name(step));
}

// The step that a resume would start from, after everything in it is proven whole; the version it was written with.
struct Resumed {
  std::int64_t step;
  std::string version;
};
Resumed resume(const fs::path& run) {
  const auto latest = find_latest(run);
  if (!latest) return {-1, ""};
  require_whole(latest->path, Verify::kContents);
  EXPECT_EQ(ShardedFolder(latest->path).names(), (std::vector<std::string>{"w"}));
  const std::string text = read_file(latest->path / "trainer.json");
  EXPECT_TRUE(text.starts_with(step_name(latest->step)));
  return {latest->step, text.substr(step_name(latest->step).size())};
}

std::vector<std::int64_t> steps_of(const fs::path& run) {
  std::vector<std::int64_t> steps;
  for (const StepFolder& folder : list_steps(run)) steps.push_back(folder.step);
  return steps;
}

TEST(StepFolder, NamesSortAsNumbers) {
  EXPECT_EQ(step_name(500), "step-00000500");
  EXPECT_EQ(step_name(123456789), "step-123456789");
  EXPECT_EQ(step_of("step-00000500"), 500);
  EXPECT_EQ(step_of("step-123456789"), 123456789);
  for (const char* other : {"step-500", "step-", "step-0000050x", "Step-00000500", ".tmp-step-00000500", "step-000000500",
                            "step-99999999999999999999", "step--0000500"}) {
    EXPECT_FALSE(step_of(other).has_value()) << other;
  }
}

TEST(StepFolder, SavesAndFindsTheLatest) {
  const ScratchFolder run;
  EXPECT_FALSE(find_latest(run.path()).has_value());
  save(run.path(), 500);
  save(run.path(), 1000);
  EXPECT_EQ(steps_of(run.path()), (std::vector<std::int64_t>{500, 1000}));
  EXPECT_EQ(read_file(checkpoints_folder(run.path()) / "latest"), "step-00001000\n");
  EXPECT_EQ(resume(run.path()).step, 1000);
  EXPECT_EQ(find_latest(run.path())->note, "");
  EXPECT_EQ(num_entries(checkpoints_folder(run.path())), 3);
}

TEST(StepFolder, KeepsOtherPointersToo) {
  const ScratchFolder run;
  EXPECT_FALSE(read_pointer(run.path(), "best").has_value());
  save(run.path(), 500);
  write_pointer(run.path(), "best", 500);
  EXPECT_EQ(read_pointer(run.path(), "best"), 500);
  put_file(checkpoints_folder(run.path()) / "best", "../../etc");
  EXPECT_FALSE(read_pointer(run.path(), "best").has_value());
}

TEST(StepFolder, FallsBackToTheNewestWholeFolderAndSaysWhy) {
  const ScratchFolder run;
  const fs::path folder = checkpoints_folder(run.path());
  for (const int step : {100, 200, 300}) save(run.path(), step);
  fs::remove(folder / "latest");
  EXPECT_EQ(find_latest(run.path())->step, 300);
  EXPECT_NE(find_latest(run.path())->note.find("latest is missing"), std::string::npos);
  for (const char* nonsense : {"step-00000900\n", "", "../elsewhere", "\xFF\xFE"}) {
    put_file(folder / "latest", nonsense);
    EXPECT_EQ(find_latest(run.path())->step, 300);
    EXPECT_NE(find_latest(run.path())->note.find("names no checkpoint"), std::string::npos);
  }
  write_pointer(run.path(), "latest", 300);
  fs::remove(folder / "step-00000300" / "optimizer" / "state.bin");
  EXPECT_EQ(find_latest(run.path())->step, 200);
  EXPECT_NE(find_latest(run.path())->note.find("optimizer/state.bin is missing"), std::string::npos);
  put_file(folder / "step-00000200" / "trainer.json", "cut");
  EXPECT_EQ(find_latest(run.path())->step, 100);
  fs::remove(folder / "step-00000100" / "manifest.json");
  const std::string message = error_of([&] { find_latest(run.path()); });
  EXPECT_NE(message.find("none of the 3 checkpoints"), std::string::npos) << message;
  for (const int step : {100, 200, 300}) fs::remove_all(folder / step_name(step));
  EXPECT_NE(error_of([&] { find_latest(run.path()); }).find("no checkpoint"), std::string::npos);
}

TEST(StepFolder, SaysWhatIsWrongWithAManifest) {
  const ScratchFolder run;
  save(run.path(), 500);
  const fs::path folder = checkpoints_folder(run.path()) / "step-00000500", manifest = folder / "manifest.json";
  const std::string good = read_file(manifest);
  EXPECT_FALSE(manifest_fault(folder, Verify::kContents).has_value());
  const auto fault = [&](const std::string& text) {
    put_file(manifest, text);
    return manifest_fault(folder, Verify::kSizes).value_or("none");
  };
  const auto listing = [](const std::string& files) { return R"({"format":"sluice-checkpoint","version":1,"files":)" + files + "}"; };
  EXPECT_NE(fault(good.substr(0, good.size() / 2)).find("not valid JSON"), std::string::npos);
  EXPECT_NE(fault("").find("not valid JSON"), std::string::npos);
  EXPECT_NE(fault("[]").find("not one of ours"), std::string::npos);
  EXPECT_NE(fault(R"({"format":"sluice-checkpoint","version":2,"files":[]})").find("version \"2\""), std::string::npos);
  EXPECT_NE(fault(listing("{}")).find("not one of ours"), std::string::npos);
  EXPECT_NE(fault(listing("[1]")).find("in place of a file's name"), std::string::npos);
  EXPECT_NE(fault(listing(R"([{"name":"a","size_bytes":-1,"crc32c":""}])")).find("in place of a file's name"), std::string::npos);
  EXPECT_NE(fault(listing(R"([{"name":"../a","size_bytes":1,"crc32c":""}])")).find("not inside it"), std::string::npos);
  EXPECT_NE(fault(listing(R"([{"name":"/etc/passwd","size_bytes":1,"crc32c":""}])")).find("not inside it"), std::string::npos);
  EXPECT_NE(fault(listing(R"([{"name":"absent","size_bytes":1,"crc32c":""}])")).find("absent is missing"), std::string::npos);
  EXPECT_NE(fault(listing(R"([{"name":"trainer.json","size_bytes":1,"crc32c":""}])")).find("has 13 bytes, not the 1"), std::string::npos);
  EXPECT_EQ(fault(good), "none");
}

TEST(StepFolder, ContentsAreCheckedByChecksumWhereSizesAreNotEnough) {
  const ScratchFolder run;
  save(run.path(), 500);
  const fs::path folder = checkpoints_folder(run.path()) / "step-00000500";
  put_file(folder / "trainer.json", "step-00000501");
  EXPECT_FALSE(manifest_fault(folder, Verify::kSizes).has_value());
  EXPECT_NE(error_of([&] { require_whole(folder, Verify::kContents); }).find("trainer.json does not have the checksum"), std::string::npos);
}

TEST(StepFolder, RanksThatNoteTheirFilesGiveTheManifestOfOneThatReadsAll) {
  const ScratchFolder run;
  save(run.path(), 500);
  const fs::path folder = checkpoints_folder(run.path()) / "step-00000500";
  const std::string noted = read_file(folder / "manifest.json");
  write_manifest(folder, nullptr);
  EXPECT_EQ(read_file(folder / "manifest.json"), noted);
  EXPECT_EQ(num_entries(folder), 5);
}

TEST(StepFolder, SharesOfTheFilesFindADamagedOneOnceTogether) {
  const ScratchFolder run;
  save(run.path(), 500);
  const fs::path folder = checkpoints_folder(run.path()) / "step-00000500";
  put_file(folder / "trainer.json", "step-00000501");
  int faults = 0;
  for (std::int64_t first = 0; first < 3; ++first) faults += manifest_fault(folder, Verify::kContents, {first, 3}).has_value();
  EXPECT_EQ(faults, 1);
}

TEST(StepFolder, ALookAtContentsFallsBackFromAFlippedBitAsFromACutFile) {
  const ScratchFolder run;
  const fs::path folder = checkpoints_folder(run.path());
  for (const int step : {100, 200}) save(run.path(), step);
  put_file(folder / "step-00000200" / "trainer.json", "step-00000201");
  EXPECT_EQ(find_latest(run.path())->step, 200);  // sizes do not tell
  const auto found = find_latest(run.path(), Verify::kContents);
  EXPECT_EQ(found->step, 100);
  EXPECT_NE(found->note.find("trainer.json does not have the checksum"), std::string::npos) << found->note;
  EXPECT_NE(found->note.find("going on from"), std::string::npos) << found->note;
}

TEST(StepFolder, APointerFileStandsForTheFolderThatItNames) {
  const ScratchFolder run;
  save(run.path(), 500);
  const fs::path folder = checkpoints_folder(run.path());
  write_pointer(run.path(), "best", 500);
  EXPECT_EQ(follow_pointer(folder / "best"), folder / "step-00000500");
  EXPECT_EQ(follow_pointer(folder / "latest"), folder / "step-00000500");
  EXPECT_EQ(follow_pointer(folder / "step-00000500"), folder / "step-00000500");
  EXPECT_EQ(follow_pointer(folder / "absent"), folder / "absent");
  put_file(folder / "best", "../../etc");
  EXPECT_EQ(follow_pointer(folder / "best"), folder / "best");
  put_file(folder / "other", "step-00000500");
  EXPECT_EQ(follow_pointer(folder / "other"), folder / "other");
}

TEST(StepFolder, PruneKeepsTheNewestTheProtectedAndTheLatest) {
  const ScratchFolder run;
  for (const int step : {100, 200, 300, 400, 500}) save(run.path(), step);
  prune(run.path(), 2, {200});
  EXPECT_EQ(steps_of(run.path()), (std::vector<std::int64_t>{200, 400, 500}));
  prune(run.path(), 9, {});
  EXPECT_EQ(steps_of(run.path()), (std::vector<std::int64_t>{200, 400, 500}));
  prune(run.path(), 1, {});
  EXPECT_EQ(steps_of(run.path()), (std::vector<std::int64_t>{500}));
  EXPECT_EQ(resume(run.path()).step, 500);
  EXPECT_EQ(num_entries(checkpoints_folder(run.path())), 2);
}

TEST(StepFolder, PruneNeverRemovesTheLastWholeCheckpoint) {
  const ScratchFolder run;
  for (const int step : {100, 200}) save(run.path(), step);
  fs::remove(checkpoints_folder(run.path()) / "step-00000200" / "manifest.json");
  prune(run.path(), 1, {});
  EXPECT_EQ(find_latest(run.path())->step, 100);
}

TEST(StepFolder, PruneAfterAResumeFromAnEarlierStepKeepsWhatWasJustSaved) {
  const ScratchFolder run;
  for (const int step : {100, 200, 300}) save(run.path(), step);
  save(run.path(), 150);  // resumed from 100
  prune(run.path(), 1, {});
  EXPECT_EQ(steps_of(run.path()), (std::vector<std::int64_t>{150, 200, 300}));
  EXPECT_EQ(resume(run.path()).step, 150);
}

TEST(StepFolder, AFullDiskIsNoticedBeforeAnythingIsWritten) {
  const ScratchFolder run;
  save(run.path(), 100);
  const std::string message = error_of([&] { StepFolderWriter(run.path(), 200, std::uint64_t{1} << 60); });
  EXPECT_NE(message.find("saving step 200 needs"), std::string::npos) << message;
  EXPECT_NE(message.find("MiB free"), std::string::npos) << message;
  EXPECT_EQ(num_entries(checkpoints_folder(run.path())), 2);
}

TEST(StepFolder, AnAbandonedSaveLeavesNothing) {
  const ScratchFolder run;
  save(run.path(), 100);
  { StepFolderWriter(run.path(), 200, 0).write_file("a", "b"); }
  EXPECT_EQ(num_entries(checkpoints_folder(run.path())), 2);
  EXPECT_EQ(resume(run.path()).step, 100);
}

// Stops a save of `step` before its n-th change, for every n, by kill or by failure, and gives the run to `check`, which says
// whether it is as it should be. Each round begins with what `prepare` makes.
int stop_everywhere(const std::function<void(const fs::path&)>& prepare, std::int64_t step,
                    const std::function<void(const fs::path&, int)>& check) {
  for (int n = 1;; ++n) {
    const ScratchFolder killed, failed;
    prepare(killed.path());
    prepare(failed.path());
    const int status = status_of_child([&] {
      KillAt kill_at(n);
      save(killed.path(), step, "new", &kill_at);
      return 0;
    });
    EXPECT_TRUE(status == 0 || WIFSIGNALED(status)) << n;
    FailAt failure(n);
    try {
      save(failed.path(), step, "new", &failure);
      EXPECT_FALSE(failure.happened()) << "a failure was swallowed at change " << n;
    } catch (const Error&) {
      EXPECT_TRUE(failure.happened());
    }
    check(killed.path(), n);
    check(failed.path(), n);
    // Whatever was left, the next save succeeds and clears it.
    for (const fs::path& run : {killed.path(), failed.path()}) {
      save(run, step, "again");
      EXPECT_EQ(resume(run).version, "again") << n;
      for (const auto& entry : fs::directory_iterator(checkpoints_folder(run))) {
        const std::string name = entry.path().filename().string();
        EXPECT_TRUE(step_of(name).has_value() || name == "latest") << name << " is left after change " << n;
      }
    }
    if (status == 0) return n;
  }
}

TEST(StepFolder, AStopAtAnyChangeLeavesThePreviousCheckpointWhole) {
  bool seen_old = false, seen_new = false;
  const int num_changes =
      stop_everywhere([](const fs::path& run) { save(run, 100, "old"); }, 200,
                      [&](const fs::path& run, int n) {
                        EXPECT_FALSE(manifest_fault(checkpoints_folder(run) / "step-00000100", Verify::kContents).has_value()) << n;
                        const Resumed resumed = resume(run);
                        EXPECT_TRUE(resumed.step == 100 ? resumed.version == "old" : resumed.version == "new") << n;
                        (resumed.step == 100 ? seen_old : seen_new) = true;
                      });
  EXPECT_GT(num_changes, 30);
  EXPECT_TRUE(seen_old && seen_new);
}

TEST(StepFolder, AStopAtAnyChangeOfTheFirstSaveLeavesNoneOrAWholeOne) {
  stop_everywhere([](const fs::path&) {}, 100,
                  [](const fs::path& run, int n) {
                    const Resumed resumed = resume(run);
                    EXPECT_TRUE(resumed.step == -1 || resumed.version == "new") << n;
                  });
}

TEST(StepFolder, AStopWhileAStepIsSavedAgainLeavesTheOldOrTheNewOne) {
  bool seen_old = false, seen_new = false;
  stop_everywhere([](const fs::path& run) { save(run, 100, "old"); }, 100,
                  [&](const fs::path& run, int n) {
                    const Resumed resumed = resume(run);
                    EXPECT_EQ(resumed.step, 100) << n;
                    EXPECT_TRUE(resumed.version == "old" || resumed.version == "new") << n;
                    (resumed.version == "old" ? seen_old : seen_new) = true;
                  });
  EXPECT_TRUE(seen_old && seen_new);
}

TEST(StepFolder, AKillAtAnyChangeOfPruningLeavesOnlyWholeCheckpointsInSight) {
  for (int n = 1, status = -1; status != 0; ++n) {
    const ScratchFolder run;
    for (const int step : {100, 200, 300, 400}) save(run.path(), step);
    status = status_of_child([&] {
      KillAt kill_at(n);
      prune(run.path(), 1, {200}, &kill_at);
      return 0;
    });
    for (const StepFolder& folder : list_steps(run.path())) EXPECT_FALSE(folder.fault.has_value()) << n;
    EXPECT_EQ(resume(run.path()).step, 400);
    prune(run.path(), 1, {200});
    clean_temporaries(run.path());
    EXPECT_EQ(steps_of(run.path()), (std::vector<std::int64_t>{200, 400}));
    EXPECT_EQ(num_entries(checkpoints_folder(run.path())), 3);
  }
}

// The child may write at most `limit` bytes to a file, as on a disk that fills up within one: for every size of file that a save has.
TEST(StepFolder, AFileSizeLimitWhileSavingLeavesThePreviousCheckpointWhole) {
  for (const rlim_t limit : {0, 5, 20, 100, 500, 4096, 4200}) {
    const ScratchFolder run;
    save(run.path(), 100);
    const int status = status_of_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limits{limit, limit};
      setrlimit(RLIMIT_FSIZE, &limits);
      return error_of([&] { save(run.path(), 200); }).find("cannot write") != std::string::npos ? 0 : 1;
    });
    EXPECT_EQ(status, 0) << limit;
    EXPECT_EQ(resume(run.path()).step, 100) << limit;
    EXPECT_EQ(num_entries(checkpoints_folder(run.path())), 2) << limit;
  }
}

}  // namespace
}  // namespace sluice::checkpoint
