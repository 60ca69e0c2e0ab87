-- Numbers a rename like every other change of a row, so that whoever follows the rows takes it for
-- the newer version.
create or replace function tintype.number_rename() returns trigger
language plpgsql security definer
set search_path = ''
as $$
begin
  new.seq := nextval('tintype.change_seq');
  new.updated_at := tintype.clock();
  return new;
end
$$;

create or replace trigger number_rename
before update of name on public.models
for each row execute function tintype.number_rename();

create or replace trigger number_rename
before update of identity_name on public.trained_identities
for each row execute function tintype.number_rename();
