# frozen_string_literal: true

# gitlab-rake TASK: the few tasks that administrators reach for.
require_relative 'forge'

def reset_password(name)
  name ||= 'root'
  user = User.find_by_username(name)
  abort("Unable to find user with username: #{name}") unless user
  $stdout.write('Enter password: ')
  password = $stdin.gets.to_s.chomp
  $stdout.write("\nConfirm password: ")
  confirmation = $stdin.gets.to_s.chomp
  puts
  user.update!(password: password, password_confirmation: confirmation)
  puts "Password successfully updated for user with username #{user.username}."
rescue ActiveRecord::RecordInvalid => e
  abort("Unable to change password of the user with username #{name}.\n#{e.message}")
end

task, argument = ARGV.first.to_s.match(/\A([^\[]*)(?:\[(.*)\])?\z/)&.captures
case task
when 'gitlab:password:reset' then reset_password(argument)
when 'gitlab:env:info'
  puts '', 'System information', "Ruby Version:\t#{RUBY_VERSION}", '', 'GitLab information', "Version:\t#{Forge.version}"
when 'gitlab:check', 'gitlab:gitlab_shell:check'
  status, = Forge.call('GET', '/-/health', nil, socket: Forge::WEB)
  puts 'Checking GitLab subtasks ...', '', "Internal API available: #{status == 200 ? 'OK' : 'FAILED'}", '', 'Checking GitLab subtasks ... Finished'
  exit 1 unless status == 200
when 'gitlab:doctor:secrets'
  puts 'Checking encrypted values in the database', 'Done!', 'Total: 0 row(s) affected'
when 'db:migrate:status'
  puts '', 'database: gitlabhq_production', '', ' Status   Migration ID    Migration Name', '-' * 50, "   up     20210101000000  Init schema"
else
  warn 'rake aborted!', "Don't know how to build task '#{task}' (See the list of available tasks with `rake --tasks`)"
  exit 1
end
