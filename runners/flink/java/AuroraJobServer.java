import java.util.Collections;
import java.util.Locale;
import java.util.UUID;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.flink.FlinkJobInvoker;
import org.apache.beam.runners.flink.FlinkJobServerDriver.FlinkServerConfiguration;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineRunner;
import org.apache.beam.runners.fnexecution.translation.PipelineTranslatorUtils;
import org.apache.beam.runners.jobsubmission.JobInvocation;
import org.apache.beam.runners.jobsubmission.JobServerDriver;
import org.apache.beam.sdk.fn.server.ServerFactory;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.util.construction.PipelineOptionsTranslation;
import org.apache.beam.vendor.grpc.v1p60p1.com.google.protobuf.Struct;
import org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.util.concurrent.ListeningExecutorService;
import org.kohsuke.args4j.CmdLineParser;

/**
 * Takes jobs for the local Flink cluster and sends no jars with them: the cluster has Beam on its own class path.
 *
 * <p>Beam's own job server uploads its whole class path with every job, which costs more than most jobs do. Batches and
 * streams have configurations of their own, {@code batches} and {@code streams} below {@code --flink-conf-dir}: Beam's
 * runner passes the number of restarts that a job asks for only for streams.
 */
public final class AuroraJobServer extends JobServerDriver {

  private static final String MASTER = "--flink-master=";
  private static final String CONFIGURATION = "--flink-conf-dir=";

  private AuroraJobServer(FlinkServerConfiguration settings, String master, String folder) {
    super(
        settings,
        ServerFactory.createDefault(),
        ServerFactory.createDefault(),
        () -> new Invoker(settings, master, folder));
  }

  public static void main(String[] arguments) throws Exception {
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    FlinkServerConfiguration settings = new FlinkServerConfiguration();
    new CmdLineParser(settings).parseArgument(arguments);
    new AuroraJobServer(settings, valueOf(MASTER, arguments), valueOf(CONFIGURATION, arguments)).run();
  }

  private static String valueOf(String flag, String[] arguments) {
    for (String argument : arguments) {
      if (argument.startsWith(flag)) {
        return argument.substring(flag.length());
      }
    }
    throw new IllegalArgumentException("the flag " + flag + " is missing");
  }

  private static final class Invoker extends FlinkJobInvoker {
    private final String master;
    private final String folder;

    Invoker(FlinkServerConfiguration settings, String master, String folder) {
      super(settings);
      this.master = master;
      this.folder = folder;
    }

    @Override
    protected JobInvocation invokeWithExecutor(
        RunnerApi.Pipeline pipeline, Struct given, String retrievalToken, ListeningExecutorService executor) {
      FlinkPipelineOptions options = PipelineOptionsTranslation.fromProto(given).as(FlinkPipelineOptions.class);
      if (FlinkPipelineOptions.AUTO.equals(options.getFlinkMaster())) {
        options.setFlinkMaster(master);
      }
      options.setRunner(null);
      boolean streaming = options.isStreaming() || PipelineTranslatorUtils.hasUnboundedPCollections(pipeline);
      String name = options.getJobName() == null ? "job" : options.getJobName().toLowerCase(Locale.ROOT);
      FlinkPipelineRunner runner =
          new FlinkPipelineRunner(
              options, folder + (streaming ? "/streams" : "/batches"), Collections.emptyList());
      return createJobInvocation(
          name + "_" + UUID.randomUUID(), retrievalToken, executor, pipeline, options, runner);
    }
  }
}
