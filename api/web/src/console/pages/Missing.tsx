/** The page for an unknown address. */

export function Missing({ what, id }: { readonly what: string; readonly id: string }) {
  return (
    <main id="main" class="page welcome" tabIndex={-1}>
      <h1 tabIndex={-1}>No such {what}</h1>
      <p>
        There is no {what} <code>{id}</code>. It may have been deleted.
      </p>
      <p class="buttons">
        <a class="button main" href="/console">
          To the overview
        </a>
      </p>
    </main>
  );
}
