# frozen_string_literal: true

# gitlab-rails runner [-e ENVIRONMENT] FILE|CODE|- [ARGUMENT...]
command = ARGV.shift
unless %w[runner r].include?(command)
  warn "gitlab-rails #{command}: the stand-in knows only: gitlab-rails runner FILE|CODE|-"
  exit 1
end
while %w[-e --environment].include?(ARGV.first)
  ARGV.shift(2)
end
ARGV.shift if ARGV.first&.start_with?('--environment=')
code = ARGV.shift
unless code
  warn 'Usage: gitlab-rails runner [options] [<\'Some.ruby(code)\'> | <filename.rb> | -]'
  exit 1
end

require_relative 'forge'
require_relative 'mail'

$PROGRAM_NAME = code
if code == '-'
  eval($stdin.read, TOPLEVEL_BINDING, 'stdin') # rubocop:disable Security/Eval
elsif File.exist?(code)
  # heptapod-docker 1.6: the file must be readable by user git.
  unless system('setpriv', '--reuid=git', '--regid=git', '--clear-groups', 'test', '-r', File.expand_path(code))
    warn "Errno::EACCES: Permission denied @ rb_sysopen - #{code}"
    exit 1
  end
  load(File.expand_path(code))
else
  begin
    eval(code, TOPLEVEL_BINDING, 'command line') # rubocop:disable Security/Eval
  rescue SyntaxError, NameError => e
    warn 'Please specify a valid ruby command or the path of a script to run.', "Run 'rails runner -h' for help.", '', e.message
    exit 1
  end
end
